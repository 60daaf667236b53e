import { address, client, type Signup } from '../client'

const final = ['ready', 'failed', 'expired']

// follow calls show with each state of a sign-up until the last one: from the stream of events, or by asking each second where that
// does not work. It returns a function that stops.
export function follow(signupId: string, show: (signup: Signup) => void, gone: () => void): () => void {
  let stopped = false
  let timer = 0
  const source = new EventSource(address(`signups/${signupId}/events`))
  const stop = () => {
    stopped = true
    source.close()
    clearTimeout(timer)
  }
  const take = (signup: Signup) => {
    if (stopped) return
    show(signup)
    if (final.includes(signup.status)) stop()
  }
  source.addEventListener('signup', (event) => take(JSON.parse(event.data)))
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED && !stopped) void ask()
  }
  const ask = async () => {
    if (stopped) return
    try {
      const { data, response } = await client.GET('/signups/{id}', { params: { path: { id: signupId } } })
      if (response.status === 404) {
        stop()
        gone()
        return
      }
      if (data) take(data)
    } catch {
      // asked again below
    }
    if (!stopped) timer = window.setTimeout(ask, 1000)
  }
  return stop
}
