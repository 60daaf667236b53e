// What the server writes into the page for its script.
export type Field = { name: string; label: string; type: string; autocomplete: string; required: boolean; hint: string }
export type Link = { url: string; text: string }
export type Page = {
  fields: Field[]
  texts: Record<string, string>
  steps: Record<string, string>
  links: Link[]
  login: Link | null
}

// Pending is a sign-up that this tab has begun and has not seen the end of. It never holds a password.
export type Pending = { key: string; values: Record<string, string>; signupId?: string }

const storageKey = 'homeroom-signup'

export function load(): Pending | null {
  try {
    return JSON.parse(sessionStorage.getItem(storageKey) ?? 'null')
  } catch {
    return null
  }
}

export function save(pending: Pending | null) {
  try {
    if (pending) sessionStorage.setItem(storageKey, JSON.stringify(pending))
    else sessionStorage.removeItem(storageKey)
  } catch {
    // without storage a reload begins anew
  }
}
