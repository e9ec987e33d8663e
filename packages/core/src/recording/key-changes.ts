import type { SigningKeys } from './signed.ts'

/** A node's signing key was followed by another one. Both have signed it, so that who trusts one may trust the other. */
export interface KeyChange {
  /** Thumbprints (RFC 7638). */
  readonly from: string
  readonly to: string
  /** The number of the first anchor that the new key signs; the old one signs none from there on. */
  readonly anchor: number
  /** When. */
  readonly at: string
}

/**
 * Reads a change: two compact JWS of the same payload, that of the old key and that of the new one, with a newline between
 * them. Throws a RangeError that says what is wrong.
 */
export function openKeyChange(text: string, keys: SigningKeys): KeyChange {
  const [old, next, ...rest] = text.split('\n')
  if (old === undefined || next === undefined || rest.length > 0)
    throw new RangeError('this is no change of a key')
  const { key, fields } = keys.open(old)
  const other = keys.open(next)
  if (old.split('.')[1] !== next.split('.')[1])
    throw new RangeError('the two keys have signed different things')
  const [type, from, to] = ['type', 'from', 'to'].map((name) => fields.get(name))
  const anchor = fields.get('anchor')
  if (type !== 'sallyport.key.1' || from !== key || to !== other.key || key === other.key)
    throw new RangeError('this is no change between the keys that signed it')
  if (typeof anchor !== 'number' || !Number.isSafeInteger(anchor) || anchor < 0)
    throw new RangeError('it does not say from which anchor on')
  return { from: key, to: other.key, anchor, at: String(fields.get('at')) }
}

/** Who may sign: the keys that changes link to those that are expected, and when each of them may. */
export class TrustedKeys {
  /** Each key has at most one that follows it. */
  readonly #next = new Map<string, KeyChange>()
  /** Where none is expected, that of the first anchor is taken. */
  readonly #expected: ReadonlySet<string>
  #first: string | undefined
  #current: string | undefined

  constructor(expected: readonly string[]) {
    this.#expected = new Set(expected)
  }

  /** The keys that others are trusted by. */
  get roots(): readonly string[] {
    if (this.#expected.size > 0) return [...this.#expected]
    return this.#first === undefined ? [] : [this.#first]
  }

  get changes(): Iterable<KeyChange> {
    return this.#next.values()
  }

  /** Throws a RangeError where the old key has said the same of another one: one of them was not its owner. */
  add(change: KeyChange): void {
    const other = this.#next.get(change.from)
    if (other !== undefined)
      throw new RangeError(`${change.from} was followed by ${other.to}, and here by ${change.to}`)
    this.#next.set(change.from, change)
  }

  /** What is wrong with the key of this anchor, which comes behind those that were asked for before; undefined where nothing is. */
  signs(key: string, anchor: number): string | undefined {
    const before = this.#current
    this.#first ??= key
    this.#current = key
    if (!this.trusts(key))
      return `${key} signs it, and nothing leads there from ${this.roots.join(' or ')}`
    const left = this.#next.get(key)
    if (left !== undefined && left.anchor <= anchor)
      return `${key} signs it, which was followed by ${left.to} from anchor ${left.anchor} on`
    if (before === undefined || before === key) return undefined
    const change = this.#next.get(before)
    if (change?.to === key) {
      const { anchor: first } = change
      return first === anchor ? undefined : `${key} signs from here on, and not from ${first}`
    }
    // Who expects both has said it for the key that did not.
    if (this.#expected.has(before) && this.#expected.has(key)) return undefined
    return `${key} signs instead of ${before}, which has not said so`
  }

  /** True where changes link a key to one that is expected, or else to that of the first anchor. */
  trusts(key: string): boolean {
    const known = new Set(this.roots)
    if (known.size === 0) return true
    for (let size = 0; size !== known.size;) {
      size = known.size
      for (const { from, to } of this.#next.values()) {
        if (known.has(from)) known.add(to)
        else if (known.has(to)) known.add(from)
      }
    }
    return known.has(key)
  }
}
