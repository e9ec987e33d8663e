import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite } from 'node:test'
import { skipReason, startPostgres } from '@sallyport/testkit'
import type { Store } from '../ports/store.ts'
import { openPgliteStore } from './pglite-store.ts'
import { openPostgresStore } from './postgres-store.ts'

/** Runs the same tests on the embedded store and on a server, each filled by `fill` first. */
export function inBothStores(
  what: string,
  tests: (storeOf: () => Store) => void,
  fill: (store: Store) => Promise<void> = async () => {
    await Promise.resolve()
  },
): void {
  suite(`${what} in the embedded store`, () => {
    let opened: Opened
    before(async () => {
      opened = await openEmbedded()
      await fill(opened.store)
    })
    after(async () => await opened[Symbol.asyncDispose]())
    tests(() => opened.store)
  })
  suite(`${what} on a server`, { skip: skipReason() }, () => {
    let opened: Opened
    before(async () => {
      opened = await openOnServer()
      await fill(opened.store)
    })
    after(async () => await opened[Symbol.asyncDispose]())
    tests(() => opened.store)
  })
}

interface Opened extends AsyncDisposable {
  readonly store: Store
}

async function openEmbedded(): Promise<Opened> {
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-store-'))
  const store = await openPgliteStore(dir)
  return {
    store,
    async [Symbol.asyncDispose]() {
      await store.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function openOnServer(): Promise<Opened> {
  const server = await startPostgres()
  const store = await openPostgresStore(
    `postgresql://postgres:${server.password}@127.0.0.1:${server.port}/postgres`,
  )
  return {
    store,
    async [Symbol.asyncDispose]() {
      await store.close()
      await server.stop()
    },
  }
}
