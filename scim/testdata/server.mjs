// A SCIM server on a free port of loopback: the protocol (parsing, filters, patches, errors) is the libraries scimmy and
// scimmy-routers, the storage is two maps. The first argument is the folder that the libraries are installed in. It writes
// its port, and ends with its standard input.
import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";

const require = createRequire(process.argv[2] + "/");
const express = require("express");
const loaded = { scimmy: require("scimmy"), routers: require("scimmy-routers") };
const SCIMMY = loaded.scimmy.default ?? loaded.scimmy;
const Routers = loaded.routers.default ?? loaded.routers;

const users = new Map();
const groups = new Map([["head", { id: "head", displayName: "Heads", members: [] }]]);
const refuse = (status, type, detail) => { throw new SCIMMY.Types.Error(status, type, detail); };
const plain = (instance) => JSON.parse(JSON.stringify(instance));
const found = (map, resource) => {
  if (resource.id) return map.get(resource.id) ?? refuse(404, null, `Resource ${resource.id} not found`);
  const all = [...map.values()];
  return resource.filter ? resource.filter.match(all) : all;
};
const withGroups = (user) => ({
  ...user,
  groups: [...groups.values()].filter((g) => g.members.some((m) => m.value === user.id)).map((g) => ({ value: g.id })),
});

SCIMMY.Resources.declare(SCIMMY.Resources.User)
  .extend(SCIMMY.Schemas.EnterpriseUser)
  .ingress((resource, instance) => {
    const user = plain(instance); // without the password, which the schema never returns
    const changed = instance.password === undefined && resource.id; // whose password stays
    if (!changed && (instance.password ?? "").length < 12) refuse(400, "invalidValue", "The password is too weak");
    for (const other of users.values()) {
      if (other.id !== resource.id && other.userName.toLowerCase() === user.userName.toLowerCase()) refuse(409, "uniqueness", "The userName is taken");
    }
    const stored = { ...user, id: resource.id ?? randomUUID() };
    users.set(stored.id, stored);
    return stored;
  })
  .egress((resource) => {
    const result = found(users, resource);
    return Array.isArray(result) ? result.map(withGroups) : withGroups(result);
  })
  .degress((resource) => {
    if (!users.delete(resource.id)) refuse(404, null, `Resource ${resource.id} not found`);
    for (const group of groups.values()) group.members = group.members.filter((m) => m.value !== resource.id);
  });

SCIMMY.Resources.declare(SCIMMY.Resources.Group)
  .ingress((resource, instance) => {
    const group = { members: [], ...plain(instance), id: resource.id };
    groups.set(group.id, group);
    return group;
  })
  .egress((resource) => found(groups, resource))
  .degress(() => refuse(501, null, "Groups stay"));

const app = express();
app.use("/scim/v2", new Routers({
  type: "bearer",
  handler: (request) => {
    if (request.header("Authorization") !== "Bearer scimmy-canary") throw new Error("Authorization not detected");
    return "homeroom";
  },
}));
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit());
