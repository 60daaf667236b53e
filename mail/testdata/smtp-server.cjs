// Serves the npm package smtp-server: node smtp-server.cjs <folder of the package>, with the key, the certificate and the login
// as one line of JSON on standard input. It writes its port, and then each mail that it takes, as lines of JSON.
'use strict'
const path = require('path')
const { SMTPServer } = require(path.join(process.argv[2], 'node_modules', 'smtp-server'))

require('readline').createInterface({ input: process.stdin }).once('line', line => {
  const { key, cert, user, pass, secure } = JSON.parse(line)
  const server = new SMTPServer({
    key, cert, secure,
    authMethods: ['PLAIN', 'LOGIN'],
    onAuth (auth, session, done) {
      if (auth.username !== user || auth.password !== pass) {
        return done(new Error('Invalid login for ' + auth.password))
      }
      done(null, { user: auth.username })
    },
    onData (stream, session, done) {
      const chunks = []
      stream.on('data', chunk => chunks.push(chunk))
      stream.on('end', () => {
        console.log(JSON.stringify({
          raw: Buffer.concat(chunks).toString('latin1'), user: session.user, tls: Boolean(session.secure), method: session.transmissionType,
          from: session.envelope.mailFrom.address, to: session.envelope.rcptTo.map(to => to.address)
        }))
        done()
      })
    }
  })
  server.on('error', () => {}) // clients that do not like our certificate, which is what a test is about
  server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.server.address().port })))
})
