// Verifies requests as a receiver in JavaScript does. It reads a list of {secret, headers, body} and writes for each the
// payload, or null where the signature is not good. The first argument is the folder that the library is installed in.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const { Webhook } = createRequire(process.argv[2] + "/")("standardwebhooks");
const outcomes = JSON.parse(await text(process.stdin)).map(({ secret, headers, body }) => {
  try {
    return new Webhook(secret).verify(body, headers);
  } catch {
    return null;
  }
});
console.log(JSON.stringify(outcomes));
