import {
  ERRORS,
  coversMasks,
  type Effects,
  type ErrorCode,
  type MaskRule,
  type ObjectName,
  type Refusal,
  type Verdict,
} from '@sallyport/core'
import { decodeParse, encodeParse, encodeQuery } from '@sallyport/wire'
import type { ConnectionConfig, GuardLogin } from '../../../../boundary/snapshot.ts'
import type { Tree } from '../classify/tree.ts'
import { firstBody, wholeOf, type Frames, type Unit } from '../unit.ts'
import type { GuardWatch } from './guard-watch.ts'
import {
  applyEdits,
  findRenames,
  originalPosition,
  type Edit,
  type GuardedNames,
} from './rename.ts'

export interface SessionGuardDeps {
  readonly role: GuardLogin | undefined
  readonly watch: GuardWatch | undefined
  /** The connection as the newest snapshot has it. */
  connection(): ConnectionConfig | undefined
  parse(text: string): readonly Tree[] | undefined
}

/** Texts whose names were looked for; the rest are new anyway. */
const keptMax = 512
const keptTextMax = 16_384

/** What of a command's messages is other than the caller wrote it. */
export interface Renamed {
  readonly frames: Frames
  /** Where in the caller's text a place of the renamed one is, in characters from 1. */
  readonly place: (position: number) => number
}

/** One session's part in a guard: its masks are the target's to enforce, and its names mean what the target masks. */
export class SessionGuard {
  readonly #deps: SessionGuardDeps
  readonly #names: GuardedNames | undefined
  readonly #mayName: RegExp | undefined
  readonly #edits = new Map<string, readonly Edit[]>()
  readonly #detectors = new WeakMap<readonly MaskRule[], readonly MaskRule[]>()
  readonly #looked = new WeakMap<Effects, Effects>()

  constructor(deps: SessionGuardDeps) {
    this.#deps = deps
    const { role } = deps
    if (role === undefined) return
    const twins = new Set(role.relations.map(([schema, name]) => JSON.stringify([schema, name])))
    const bare = new Set(role.relations.map(([, name]) => name))
    this.#names = {
      schemas: role.schemas,
      has: (schema, name) =>
        schema === undefined ? bare.has(name) : twins.has(JSON.stringify([schema, name])),
    }
    const schemas = Object.keys(role.schemas).map((schema) =>
      schema.replaceAll(/[^\p{L}\p{N}_]/gu, '\\$&'),
    )
    this.#mayName = new RegExp(`copy|${schemas.join('|')}`, 'i')
  }

  /** False where the target has to be looked at before the next command. */
  get isReady(): boolean {
    return this.#deps.watch?.isFresh ?? true
  }

  async ready(): Promise<void> {
    await this.#deps.watch?.look()
  }

  catalogChanged(): void {
    this.#deps.watch?.markStale()
  }

  /** Takes the masks away that the target sees to. Where it does not see to all that hold, nothing may run. */
  settle(verdict: Verdict): Verdict {
    if (verdict.effect === 'block') return verdict
    const { role, watch } = this.#deps
    if (watch?.isSafe === false || !this.#isInForce()) return refused(verdict, 'SP_GUARD_DRIFT')
    if (!coversMasks(role, verdict.masks)) return refused(verdict, 'SP_GUARD_MISSING')
    return { ...verdict, masks: this.#withoutColumns(verdict.masks) }
  }

  /** A look-up reads its table, whatever it is called. */
  withLookups(effects: Effects): Effects {
    const lookups = this.#deps.role?.lookups ?? []
    if (lookups.length === 0 || effects.sql === undefined) return effects
    const called = new Set(
      effects.sql.functions.map((name) => name.slice(name.lastIndexOf('.') + 1)),
    )
    const tables = lookups
      .filter(({ name }) => called.has(name.slice(name.indexOf('.') + 1)))
      .map(({ table }): ObjectName => table)
    if (tables.length === 0) return effects
    const known = this.#looked.get(effects)
    if (known !== undefined) return known
    const reads = tables.map((object) => ({ effect: 'read', object, resolved: true }) as const)
    const made: Effects = {
      ...effects,
      objects: [...effects.objects, ...tables],
      accesses: [...effects.accesses, ...reads],
      sql: { ...effects.sql, reads: [...effects.sql.reads, ...tables] },
    }
    this.#looked.set(effects, made)
    return made
  }

  /** The messages of a query or Parse with the target's names; undefined where they may go out as they came. */
  rename(unit: Unit): Renamed | undefined {
    if (unit.kind !== 'query' && unit.kind !== 'parse') return undefined
    const edits = this.#editsOf(unit.text)
    if (edits.length === 0) return undefined
    const original = Buffer.from(unit.text)
    const text = applyEdits(original, edits).toString()
    const message =
      unit.kind === 'query'
        ? encodeQuery(text)
        : encodeParse({ ...decodeParse(firstBody(unit.frames)), text })
    return {
      frames: wholeOf(message),
      place: (position) => originalPosition(original, edits, position),
    }
  }

  #editsOf(text: string): readonly Edit[] {
    if (this.#names === undefined || this.#mayName?.test(text) !== true) return none
    const known = this.#edits.get(text)
    if (known !== undefined) return known
    const statements = this.#deps.parse(text) ?? []
    const edits = findRenames(statements, Buffer.from(text), this.#names)
    if (text.length > keptTextMax) return edits
    if (this.#edits.size >= keptMax) this.#edits.clear()
    this.#edits.set(text, edits)
    return edits
  }

  /** A guard that was taken away or applied anew has other roles. */
  #isInForce(): boolean {
    const { role } = this.#deps
    const connection = this.#deps.connection()
    if (connection?.masking !== 'guard') return false
    if (role === undefined) return true
    return (
      connection.guard?.sets.some(({ id, digest }) => id === role.id && digest === role.digest) ===
      true
    )
  }

  #withoutColumns(masks: readonly MaskRule[]): readonly MaskRule[] {
    const known = this.#detectors.get(masks)
    if (known !== undefined) return known
    const left = masks
      .filter(({ detect }) => detect.length > 0)
      .map((mask) => ({ ...mask, columns: [] }))
    this.#detectors.set(masks, left)
    return left
  }
}

const none: readonly Edit[] = []

function refused(verdict: Verdict, code: ErrorCode): Verdict {
  const { id, rules, policyVersion, askedAtMs } = verdict
  const asked = askedAtMs === undefined ? {} : { askedAtMs }
  const reason: Refusal = {
    code,
    message: `Sallyport: ${ERRORS[code].say}`,
    detail: 'Nothing was sent to the target.',
    hint: `Connect again once it is mended. Decision ${id}. (${code})`,
  }
  return { effect: 'block', id, rules, policyVersion, reason, ...asked }
}
