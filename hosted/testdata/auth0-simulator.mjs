// Another simulator of Auth0's login for the tests, on loopback. Its certificate is below HOME, and it ends when its standard
// input does.
//
//   node auth0-simulator.mjs FOLDER
import { createRequire } from 'node:module'

const { simulation } = createRequire(process.argv[2] + '/')('@simulacrum/auth0-simulator')
const app = simulation({
  options: { clientID: 'homeroom-web', scope: 'openid profile email' },
  initialState: { users: [{ id: 'person-1', name: 'Ada Lovelace', email: 'ada@lincoln.example', password: 'Correct-h0rse' }] },
})
const { server } = await app.listen(0, '127.0.0.1')
console.log(`https://localhost:${server.address().port}`)
process.stdin.resume().on('end', () => process.exit(0))
