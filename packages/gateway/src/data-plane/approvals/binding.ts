import { createHash } from 'node:crypto'

/** All that an approval is bound to: the same command in other hands, or with other values, is another one. */
export interface Bound {
  readonly agent: string
  readonly connection: string
  /** Host, port and login of the target, as the connection names them. */
  readonly target: readonly string[]
  readonly database: string
  /** What the session has set that changes what a text means. */
  readonly settings: readonly string[]
  /** What the text does beyond its words: its effects, what its names stand for, and the target's own code behind it. */
  readonly meaning: readonly string[]
  /** Who has to say yes: an answer to one question is none to a harder one. */
  readonly demands: string
  readonly text: string
  readonly parameters: readonly (Uint8Array | null)[]
  readonly formats: readonly number[]
  /** Names of what it touches, as they are resolved now. */
  readonly objects: readonly (readonly string[])[]
  readonly policyVersion: number
}

/** SHA-256 over all fields, each with its length before it, so that no two commands share it. Hexadecimal. */
export function bindingOf(bound: Bound): string {
  const hash = createHash('sha256')
  const add = (value: Uint8Array | string | number | null): void => {
    if (value === null) return void hash.update('n')
    const bytes = typeof value === 'object' ? value : Buffer.from(String(value))
    hash.update(`${bytes.length}:`).update(bytes)
  }
  const addAll = (values: readonly (Uint8Array | string | number | null)[]): void => {
    hash.update(`[${values.length}]`)
    for (const value of values) add(value)
  }
  addAll(['sallyport.approval.2', bound.agent, bound.connection, bound.database])
  addAll(bound.target)
  addAll(bound.settings)
  addAll(bound.meaning)
  add(bound.demands)
  add(bound.text)
  addAll(bound.parameters)
  addAll(bound.formats)
  hash.update(`[${bound.objects.length}]`)
  for (const object of bound.objects) addAll(object)
  add(bound.policyVersion)
  return hash.digest('hex')
}
