import { Buffer } from 'node:buffer'
import type { TrustedKeys } from './key-changes.ts'
import type { Finding, ObjectSource } from './part-reader.ts'
import { SigningKeys } from './signed.ts'
import { storeKeys } from './store-keys.ts'

/** Anchors that were published elsewhere. */
export interface AnchorCopy {
  /** For people: where they are. */
  readonly where: string
  readonly source: ObjectSource
}

/** What copies of anchors say of the store beside them. */
export interface ComparedAnchors {
  readonly where: string
  /** Numbers of the first and the newest in the copy, and how many are the same here. */
  readonly from: number
  readonly to: number
  readonly same: number
  readonly findings: readonly Finding[]
}

/**
 * Holds a store against copies of its anchors, which whoever can write the store could not change. Only those that `isExpected`
 * says are missed here.
 */
export async function compareAnchors(
  store: ObjectSource,
  copy: AnchorCopy,
  trusted: TrustedKeys,
  isExpected: (number: number) => boolean,
): Promise<ComparedAnchors> {
  const findings: Finding[] = []
  const keys = new SigningKeys()
  for (const source of [store, copy.source])
    for await (const key of source.list(storeKeys.publicKeys)) {
      const pem = await readable(source, key)
      if (pem !== undefined) keys.add(Buffer.from(pem).toString())
    }
  let [from, to, same] = [-1, -1, 0]
  for await (const key of copy.source.list(storeKeys.anchors)) {
    const number = Number(/(\d+)\.jws$/u.exec(key)?.[1])
    if (key !== storeKeys.anchor(number)) continue
    if (from < 0) from = number
    to = number
    const there = await readable(copy.source, key)
    const wrong = wrongWith(there, number, keys, trusted)
    if (wrong !== undefined)
      findings.push({ where: key, what: `of its copy in ${copy.where}: ${wrong}` })
    const here = await readable(store, key)
    if (here === undefined) {
      if (isExpected(number))
        findings.push({ where: key, what: `it is missing here, and stands in ${copy.where}` })
    } else if (there !== undefined && Buffer.compare(here, there) === 0) same += 1
    else findings.push({ where: key, what: `it is another one than its copy in ${copy.where}` })
  }
  if (from < 0) findings.push({ where: copy.where, what: 'it holds no anchors to compare with' })
  return { where: copy.where, from, to, same, findings }
}

function wrongWith(
  bytes: Uint8Array | undefined,
  number: number,
  keys: SigningKeys,
  trusted: TrustedKeys,
): string | undefined {
  try {
    const { key, fields } = keys.open(Buffer.from(bytes ?? '').toString())
    if (fields.get('type') !== 'sallyport.anchor.1' || fields.get('number') !== number)
      return 'this is not that anchor'
    if (!trusted.trusts(key))
      return `${key} signed it, and nothing leads there from ${trusted.roots.join(' or ')}`
    return undefined
  } catch (error) {
    if (error instanceof RangeError) return error.message
    throw error
  }
}

async function readable(source: ObjectSource, key: string): Promise<Uint8Array | undefined> {
  try {
    return await source.get(key)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
