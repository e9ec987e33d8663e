import { AsyncLocalStorage } from 'node:async_hooks'

const sources = new AsyncLocalStorage<string>()

/** Runs what serves a request; all that it causes knows the address that it came from. */
export function servedFrom<T>(source: string, serve: () => T): T {
  return sources.run(source, serve)
}

/** The address whose request is being served; empty where nobody asked. */
export function requestSource(): string {
  return sources.getStore() ?? ''
}

/** The same work, with the source of whoever asked for it, whoever runs it later. */
export function withSource<T>(work: () => T): () => T {
  return AsyncLocalStorage.bind(work)
}
