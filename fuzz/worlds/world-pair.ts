import type { Lane } from '../lane.ts'
import type { Program } from '../grammar/program.ts'
import { runPrograms, type Outcome } from '../run-programs.ts'
import type { Shop } from '../shop/start-shop.ts'
import { canonical } from './canonical.ts'

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
  readonly #way: 'gateway' | 'direct'
  readonly #knownOids: ReadonlySet<number>
  #lanes: { a: Lane; b: Lane } | undefined

  private constructor(
    shop: Shop,
    name: string,
    way: 'gateway' | 'direct',
    knownOids: ReadonlySet<number>,
  ) {
    this.#shop = shop
    this.#name = name
    this.#way = way
    this.#knownOids = knownOids
  }

  static async open(shop: Shop, name: string, way: 'gateway' | 'direct'): Promise<WorldPair> {
    const oids = await shop.admin(
      'shop_a',
      'select oid from pg_class union select oid from pg_type',
    )
    const pair = new WorldPair(shop, name, way, new Set(oids.map(([oid]) => Number(oid))))
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
    const [fromA, fromB] = await Promise.all([runPrograms(a, programs), runPrograms(b, programs)])
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
    return await this.#shop.enter(this.#way, `${this.#name}_${world}`)
  }

  async #close(): Promise<void> {
    const lanes = this.#lanes
    this.#lanes = undefined
    await lanes?.a[Symbol.asyncDispose]()
    await lanes?.b[Symbol.asyncDispose]()
  }
}

const nothing: Outcome = { frames: [], ended: true }
