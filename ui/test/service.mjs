// What the browser tests run against: `homeroom dev` in a folder of its own, and a browser that is installed.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import { chromium } from 'playwright-core'

const binary = new URL('../../bin/homeroom', import.meta.url).pathname

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

// startService runs a service until stop is called. Settings are environment variables.
export async function startService(settings = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'homeroom-browser-'))
  await chmod(dir, 0o711) // as root, Postgres runs as another user
  const child = spawn(binary, ['dev'], {
    env: { ...process.env, HOMEROOM_STATE_DIR: join(dir, 'state'), HOMEROOM_ADDR: `127.0.0.1:${await freePort()}`, ...settings },
  })
  const ended = new Promise((resolve) => child.on('exit', resolve))
  let out = ''
  const url = await new Promise((resolve, reject) => {
    const read = (text) => {
      out += text
      const found = out.match(/API\s+(http:\S+)/)
      if (found) resolve(found[1])
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    ended.then(() => reject(new Error(`homeroom dev has ended: ${out}`)))
  })
  const stop = async () => {
    child.kill('SIGINT')
    await ended
    await rm(dir, { recursive: true, force: true })
  }
  return { url, stop }
}

export async function openBrowser() {
  const path = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((p) => p && existsSync(p))
  if (!path) throw new Error('No Chromium is installed. Debian, Ubuntu: apt-get install chromium. Elsewhere: CHROMIUM=<its path>')
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  return chromium.launch({ executablePath: path, args })
}

// violations are the rules of WCAG 2.2 AA that a page breaks.
export async function violations(page) {
  const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']).analyze()
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
}
