import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openBrowser, startService, violations } from './service.mjs'

const password = 'Correct-Horse-9'
let service, browser, schools = 0

before(async () => {
  service = await startService()
  browser = await openBrowser()
})
after(async () => {
  await browser?.close()
  await service?.stop()
})

// open opens the page in a window of its own, and fails the test when a script of it fails.
async function open(t, options = {}) {
  const context = await browser.newContext(options)
  t.after(() => context.close())
  const page = await context.newPage()
  const errors = []
  page.on('pageerror', (error) => errors.push(error))
  t.after(() => assert.deepEqual(errors, []))
  await page.goto(service.url)
  return page
}

async function fillIn(page, values = {}) {
  const n = ++schools
  const school = { 'E-mail': `ada${n}@lincoln.example`, 'School name': `Lincoln ${n}`, Password: password, 'Confirm password': password, ...values }
  for (const [label, value] of Object.entries(school)) await page.getByLabel(label, { exact: true }).fill(value)
  return school
}

const signUp = (page) => page.getByRole('button', { name: 'Sign up' }).click()

for (const colorScheme of ['light', 'dark']) {
  test(`a school signs up, ${colorScheme}`, async (t) => {
    const page = await open(t, { colorScheme })
    const school = await fillIn(page)
    await page.getByText(`People will find it as lincoln-${schools}.`).waitFor()
    assert.deepEqual(await violations(page), [])
    await signUp(page)
    await page.getByRole('heading', { name: `${school['School name']} is ready` }).waitFor()
    assert.deepEqual(await page.locator('.steps li > span:first-child').allTextContents(), ['Reserve a place', 'Create your account', 'Finish'])
    assert.deepEqual(await violations(page), [])
  })
}

test('wrong fields are named, the first has the focus, and nothing but the password is lost', async (t) => {
  const page = await open(t)
  await fillIn(page, { 'E-mail': '', 'Confirm password': 'Other-Horse-9' })
  await signUp(page)
  await page.getByRole('alert').waitFor()
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'email')
  assert.equal(await page.locator('#email-note').textContent(), 'This field is needed.')
  assert.equal(await page.locator('#confirmPassword-note').textContent(), 'The two passwords differ.')
  await fillIn(page, { Password: 'aaaaaaaaaa', 'Confirm password': 'aaaaaaaaaa' }) // which only the provider refuses
  await signUp(page)
  await page.locator('#password[aria-invalid]').waitFor()
  assert.notEqual(await page.getByLabel('E-mail').inputValue(), '')
  await fillIn(page)
  await signUp(page)
  await page.getByRole('heading', { name: 'is ready' }).waitFor()
})

test('an e-mail that has an account', async (t) => {
  const page = await open(t)
  const school = await fillIn(page)
  await signUp(page)
  await page.getByRole('heading', { name: 'is ready' }).waitFor()
  await page.goto(service.url)
  await fillIn(page, { 'E-mail': school['E-mail'] })
  await signUp(page)
  await page.locator('#email[aria-invalid]').waitFor()
  assert.match((await page.locator('#email-note').textContent()) ?? '', /There is an account/)
})

test('a name that is taken', async (t) => {
  const page = await open(t)
  const { 'School name': name } = await fillIn(page)
  await signUp(page)
  await page.getByRole('heading', { name: 'is ready' }).waitFor()
  await page.goto(service.url)
  await page.getByLabel('School name').fill(name)
  await page.getByText('There is a school with this name.').waitFor()
})

test('a lost answer is asked for again, with the same key', async (t) => {
  const page = await open(t)
  const keys = []
  await page.route('**/users', async (route) => {
    keys.push(route.request().headers()['idempotency-key'])
    if (keys.length > 1) return route.continue()
    await route.fetch() // it arrives, and its answer does not
    await route.abort()
  })
  await fillIn(page)
  await signUp(page)
  await page.getByText('Trying again').waitFor()
  await page.getByRole('heading', { name: 'is ready' }).waitFor()
  assert.equal(keys.length, 2)
  assert.equal(keys[0], keys[1])
})

test('a sign-up survives a reload while its school is made', async (t) => {
  const page = await open(t)
  await page.route('**/events', (route) => route.abort()) // the first stream is lost, and asking does not work either
  await page.route('**/signups/*', (route) => route.abort())
  await fillIn(page)
  await signUp(page)
  await page.getByRole('heading', { name: 'Your school is being set up' }).waitFor()
  await page.unroute('**/events')
  await page.unroute('**/signups/*')
  await page.reload()
  await page.getByRole('heading', { name: 'is ready' }).waitFor()
  assert.equal(await page.evaluate(() => sessionStorage.length), 0)
})

test('without events the state is asked for', async (t) => {
  const page = await open(t)
  await page.route('**/events', (route) => route.fulfill({ status: 503 }))
  await fillIn(page)
  await signUp(page)
  await page.getByRole('heading', { name: 'is ready' }).waitFor()
})

test('by the keyboard alone, at 200 %', async (t) => {
  const page = await open(t, { viewport: { width: 640, height: 480 }, deviceScaleFactor: 2 })
  const school = [`ada${++schools}@lincoln.example`, `Lincoln ${schools}`, password, password]
  for (const value of school) {
    await page.keyboard.press('Tab')
    await page.keyboard.type(value)
  }
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'is ready' }).waitFor()
})

test('the password is kept nowhere', async (t) => {
  const page = await open(t)
  await page.route('**/users', (route) => route.abort())
  await fillIn(page)
  await signUp(page)
  await page.getByText('Trying again').waitFor()
  const kept = await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie]))
  assert.match(kept, /lincoln/)
  assert.doesNotMatch(kept, /Correct-Horse/)
})

test('without a script', async (t) => {
  const page = await open(t, { javaScriptEnabled: false })
  await fillIn(page)
  await signUp(page)
  await page.getByRole('heading', { name: 'is ready' }).waitFor()
})
