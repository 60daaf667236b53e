// A certified OpenID Connect provider for the tests, on loopback. It knows one application, lets anybody in under any e-mail
// address, and ends when its standard input does.
//
//   node oidc-provider.mjs FOLDER CALLBACK [basic|post|none]
import { createRequire } from 'node:module'
import { createServer } from 'node:http'
import { pathToFileURL } from 'node:url'

const [folder, callback, method = 'basic'] = process.argv.slice(2)
const { default: Provider } = await import(pathToFileURL(createRequire(folder + '/').resolve('oidc-provider')))

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'homeroom-web',
      ...(method === 'none' ? {} : { client_secret: 'homeroom-web-secret' }),
      token_endpoint_auth_method: method === 'none' ? 'none' : `client_secret_${method}`,
      redirect_uris: [callback],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    }],
    pkce: { required: () => true },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['given_name', 'family_name', 'locale'] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: id, email_verified: true, given_name: 'Ada', family_name: 'Lovelace', locale: 'de' }),
    }),
    cookies: { keys: ['only-for-tests'] },
  })
  server.on('request', provider.callback())
  console.log(issuer)
})
process.stdin.resume().on('end', () => process.exit(0))
