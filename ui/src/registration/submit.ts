import { client, type Problem } from '../client'

export type Outcome =
  | { kind: 'begun'; signupId: string; status: string }
  | { kind: 'refused'; problem: Problem }
  | { kind: 'unreachable' }

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

// Attempts of a sign-up whose answer does not come, or says that the service cannot answer now.
const maxAttempts = 6

// submit signs a school up. It repeats the request, with the same key, until there is an answer: the service carries it out once.
export async function submit(key: string, body: Record<string, string>, waiting: () => void): Promise<Outcome> {
  for (let attempt = 1; ; attempt++) {
    let retryAfter = attempt
    try {
      const { data, error, response } = await client.POST('/users', {
        params: { header: { 'Idempotency-Key': key, Prefer: ['respond-async'] } },
        body: body as never, // which fields there are is configured
      })
      if (data) return { kind: 'begun', signupId: data.signupId, status: 'status' in data ? data.status : 'ready' }
      const problem = error as Problem
      const again = response.status === 503 || problem.code === 'IN_PROGRESS'
      if (!again || attempt === maxAttempts) return { kind: 'refused', problem }
      retryAfter = Number(response.headers.get('Retry-After')) || attempt
    } catch {
      if (attempt === maxAttempts) return { kind: 'unreachable' }
    }
    waiting()
    await sleep(1000 * Math.min(retryAfter, 10))
  }
}
