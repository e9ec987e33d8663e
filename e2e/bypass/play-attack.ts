import { BackendType, frameType } from '@sallyport/wire'
import type { SecretScanner } from '../../fuzz/shop/secret-scanner.ts'
import type { Shop } from '../../fuzz/shop/start-shop.ts'
import { canonical, refusalOf } from '../../fuzz/worlds/canonical.ts'
import type { Attack } from './corpus.ts'
import type { Played, Stage } from './stage.ts'

/** What became of one attack; `problem` is undefined where it came out as the corpus says. */
export interface AttackResult {
  readonly id: string
  readonly verdict: string
  readonly problem: string | undefined
}

/** Shows that an attack works with nothing between, and then what it comes to through the gateway. */
export class AttackPlayer {
  readonly #shop: Shop
  readonly #stage: Stage
  readonly #scanner: SecretScanner
  readonly #knownOids: ReadonlySet<number>

  constructor(shop: Shop, stage: Stage, scanner: SecretScanner, knownOids: ReadonlySet<number>) {
    this.#shop = shop
    this.#stage = stage
    this.#scanner = scanner
    this.#knownOids = knownOids
  }

  async play(attack: Attack): Promise<AttackResult> {
    const direct = await this.#run(attack, 'direct')
    const unproven = this.#unproven(attack, direct)
    if (unproven !== undefined) return { id: attack.id, verdict: 'unproven', problem: unproven }
    const through = await this.#run(attack, 'gateway')
    const verdict = verdictOf(through.a)
    const leak = this.#damage(through)
    const problem =
      leak ??
      (verdict === attack.want
        ? this.#otherShape(attack, direct.a, through.a)
        : `wanted ${attack.want}, came out ${verdict}: ${lastError(through.a)}`)
    return { id: attack.id, verdict, problem }
  }

  /** What an attack got through the gateway that it should not; undefined where nothing. Whether it works without one is not asked. */
  async damageOf(attack: Attack): Promise<string | undefined> {
    return this.#damage(await this.#run(attack, 'gateway'))
  }

  async #run(attack: Attack, way: 'direct' | 'gateway'): Promise<Outcome> {
    const { effect, undo, steps } = attack
    const look = async (database: string): Promise<string> =>
      effect === undefined ? '' : JSON.stringify(await this.#shop.admin(database, effect))
    // What has an effect on the whole server is done in one world after the other.
    if (effect !== undefined) {
      const [only] = await this.#stage.play(way, ['a'], steps, look)
      for (const sql of undo) await this.#shop.admin('postgres', sql)
      if (only === undefined) throw new Error('nothing was played')
      return { a: only.played, b: undefined, hasEffect: only.before !== only.after }
    }
    if (way === 'direct') {
      const [a, b] = await this.#stage.playAndForget(steps)
      return { a, b, hasEffect: false }
    }
    const [a, b] = await this.#stage.play(way, ['a', 'b'], steps, look)
    if (a === undefined || b === undefined) throw new Error('nothing was played')
    return { a: a.played, b: b.played, hasEffect: false }
  }

  #unproven({ effect }: Attack, { a, b, hasEffect }: Outcome): string | undefined {
    if (effect !== undefined) return hasEffect ? undefined : `has no effect: ${lastError(a)}`
    if (this.#scanner.find(bytesOf(a)).length > 0) return undefined
    if (b !== undefined && this.#difference(a, b) !== undefined) return undefined
    return `shows no planted value, and is the same in both worlds: ${lastError(a)}`
  }

  /** What got past the gateway. */
  #damage({ a, b, hasEffect }: Outcome): string | undefined {
    if (hasEffect) return 'DONE: the effect is there'
    const [shown] = this.#scanner.find(Buffer.concat([bytesOf(a), ...(b ? [bytesOf(b)] : [])]))
    if (shown !== undefined) return `LEAK: ${shown.origin}, ${shown.form}: ${shown.text}`
    const difference = b === undefined ? undefined : this.#difference(a, b)
    return difference === undefined ? undefined : `LEAK, the worlds differ: ${difference}`
  }

  /** A masked answer has as many rows and columns as the answer without masks. */
  #otherShape({ want }: Attack, direct: Played, through: Played): string | undefined {
    if (want !== 'masked') return undefined
    const [wanted, came] = [kindsOf(direct), kindsOf(through)]
    return wanted === came ? undefined : `another shape: ${wanted} became ${came}`
  }

  #difference(a: Played, b: Played): string | undefined {
    const [inA, inB] = [a, b].map((played) =>
      played.steps.flat().map((frame) => canonical(frame, this.#knownOids)),
    )
    const length = Math.max(inA?.length ?? 0, inB?.length ?? 0)
    for (let at = 0; at < length; at += 1) {
      if (inA?.[at] !== inB?.[at])
        return `${JSON.stringify(inA?.[at])} ≠ ${JSON.stringify(inB?.[at])}`
    }
    return undefined
  }
}

interface Outcome {
  readonly a: Played
  readonly b: Played | undefined
  readonly hasEffect: boolean
}

/** The code of the first refusal, or `masked` where there is none. */
export function verdictOf({ steps }: Played): string {
  return (
    steps
      .flat()
      .map(refusalOf)
      .find((code) => code !== undefined) ?? 'masked'
  )
}

/** The kinds of messages, a letter each. How the data of a binary COPY is cut into messages is free. */
function kindsOf(played: Played): string {
  const kinds = played.steps
    .flat()
    .map((frame) => String.fromCharCode(frameType(frame, 0)))
    .join('')
  return bytesOf(played).includes('PGCOPY') ? kinds.replaceAll(/d+/g, 'd') : kinds
}

function bytesOf({ steps }: Played): Buffer {
  return Buffer.concat(steps.flat())
}

export function lastError({ steps }: Played): string {
  const error = steps.flat().findLast((frame) => frameType(frame, 0) === BackendType.errorResponse)
  return error === undefined ? 'no error' : error.toString('utf8', 5).replaceAll('\0', ' ')
}
