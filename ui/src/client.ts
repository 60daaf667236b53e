// The API of the service, with types that are generated from its OpenAPI document.
import createClient from 'openapi-fetch'
import type { components, paths } from './api'

export type Signup = components['schemas']['Signup']
export type Problem = components['schemas']['Problem']

export const address = (path: string) => new URL(path, document.baseURI).href

export const client = createClient<paths>({ baseUrl: address('.').replace(/\/$/, '') })
