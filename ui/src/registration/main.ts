import { mount } from 'svelte'
import type { Page } from './page'
import Registration from './Registration.svelte'

// The page has a form that works without this script. It is replaced by one that answers while people type.
const data = document.getElementById('registration')
const main = document.querySelector('main')
if (data?.textContent && main) {
  const page: Page = JSON.parse(data.textContent)
  const values: Record<string, string> = {}
  for (const input of main.querySelectorAll('input')) {
    if (input.type !== 'hidden') values[input.name] = input.value
  }
  main.replaceChildren()
  mount(Registration, { target: main, props: { page, entered: values } })
}
