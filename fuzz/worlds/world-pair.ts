import { BackendType, frameType } from '@sallyport/wire'
import { Lane, LaneClosed } from '../lane.ts'
import type { Program } from '../grammar/program.ts'
import { encodeProgram } from '../send-program.ts'
import type { Shop } from '../shop/start-shop.ts'
import { canonical } from './canonical.ts'

/** What one program got from one world; `ended` says that the session did not survive it. */
export interface Outcome {
  readonly frames: readonly Buffer[]
  readonly ended: boolean
}

/** The same program in both worlds. */
export interface Compared {
  readonly a: Outcome
  readonly b: Outcome
  /** The first message that is not the same, in both worlds' words. */
  readonly difference: { readonly a: string; readonly b: string } | undefined
}

/** Two sessions with a database each, which differ in masked values alone and are kept in the same state. */
export class WorldPair implements AsyncDisposable {
  readonly #shop: Shop
  readonly #name: string
  readonly #isDirect: boolean
  readonly #knownOids: ReadonlySet<number>
  #lanes: { a: Lane; b: Lane } | undefined

  private constructor(shop: Shop, name: string, isDirect: boolean, knownOids: ReadonlySet<number>) {
    this.#shop = shop
    this.#name = name
    this.#isDirect = isDirect
    this.#knownOids = knownOids
  }

  /** With `direct` the sessions do not go through the gateway. */
  static async open(shop: Shop, name: string, way: 'gateway' | 'direct'): Promise<WorldPair> {
    const oids = await shop.admin(
      'shop_a',
      'select oid from pg_class union select oid from pg_type',
    )
    const pair = new WorldPair(
      shop,
      name,
      way === 'direct',
      new Set(oids.map(([oid]) => Number(oid))),
    )
    await pair.renew()
    return pair
  }

  /** Makes both databases anew. */
  async renew(): Promise<void> {
    await this.#close()
    await Promise.all([
      this.#shop.copy('a', `${this.#name}_a`),
      this.#shop.copy('b', `${this.#name}_b`),
    ])
  }

  /** Runs the programs in one go in each world. Where a session ends, the rest is run again in new ones. */
  async run(programs: readonly Program[]): Promise<Compared[]> {
    if (programs.length === 0) return []
    this.#lanes ??= { a: await this.#open('a'), b: await this.#open('b') }
    const { a, b } = this.#lanes
    const [fromA, fromB] = await Promise.all([runIn(a, programs), runIn(b, programs)])
    const done = Math.min(fromA.length, fromB.length)
    const compared = Array.from({ length: done }, (_, at) => this.#compare(fromA[at], fromB[at]))
    const hasEnded = [fromA, fromB].some((outcomes) => outcomes.at(-1)?.ended === true)
    if (hasEnded) await this.#close()
    return [...compared, ...(await this.run(programs.slice(done)))]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
  }

  #compare(a: Outcome = nothing, b: Outcome = nothing): Compared {
    const [fromA, fromB] = [a, b].map(({ frames, ended }) => [
      ...frames.map((frame) => canonical(frame, this.#knownOids)),
      ...(ended ? ['the session ends'] : []),
    ])
    const at = (fromA ?? []).findIndex((frame, index) => frame !== fromB?.[index])
    const isSame = at < 0 && fromA?.length === fromB?.length
    const first = at < 0 ? (fromA?.length ?? 0) : at
    const difference = isSame
      ? undefined
      : { a: fromA?.[first] ?? 'nothing more', b: fromB?.[first] ?? 'nothing more' }
    return { a, b, difference }
  }

  async #open(world: 'a' | 'b'): Promise<Lane> {
    const { gateway } = this.#shop
    const database = `${this.#name}_${world}`
    if (this.#isDirect) {
      const login = { user: 'app', password: 'app-password' }
      return await Lane.open({ port: gateway.postgres.port, ...login, database })
    }
    const { user, secret } = await gateway.credential()
    return await Lane.open({
      port: gateway.gateway.ports.postgres,
      user,
      password: secret,
      database,
    })
  }

  async #close(): Promise<void> {
    const lanes = this.#lanes
    this.#lanes = undefined
    await lanes?.a[Symbol.asyncDispose]()
    await lanes?.b[Symbol.asyncDispose]()
  }
}

const nothing: Outcome = { frames: [], ended: true }

/** The outcomes up to and including the one that ended the session. */
async function runIn(lane: Lane, programs: readonly Program[]): Promise<Outcome[]> {
  const batches = programs.map(encodeProgram)
  const readies = batches.reduce((sum, batch) => sum + batch.readies, 0)
  let frames: readonly Buffer[]
  let ended = false
  try {
    frames = await lane.exchange(
      batches.flatMap((batch) => batch.messages),
      readies,
    )
  } catch (error) {
    if (!(error instanceof LaneClosed)) throw error
    frames = error.frames
    ended = true
  }
  const outcomes: Outcome[] = []
  let at = 0
  for (const batch of batches) {
    const start = at
    for (let left = batch.readies; left > 0 && at < frames.length; at += 1) {
      const frame = frames[at]
      if (frame !== undefined && frameType(frame, 0) === BackendType.readyForQuery) left -= 1
    }
    const isLast = ended && at >= frames.length
    outcomes.push({ frames: frames.slice(start, at), ended: isLast })
    if (isLast) break
  }
  return outcomes
}
