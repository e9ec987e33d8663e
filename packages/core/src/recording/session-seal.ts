import type { TrustedKeys } from './key-changes.ts'
import type { PartSummary } from './part-reader.ts'
import { membersOf, type Signed } from './signed.ts'

/** Compares a part with what was signed of its session when that was whole. Throws a RangeError that says what is wrong. */
export function checkSeal({ key, fields }: Signed, part: PartSummary, trusted: TrustedKeys): void {
  if (!trusted.trusts(key))
    throw new RangeError(
      `${key} signed it, and nothing leads there from ${trusted.roots.join(' or ')}`,
    )
  if (fields.get('type') !== 'sallyport.seal.1' || fields.get('session') !== part.session)
    throw new RangeError('this is the seal of something else')
  const parts = fields.get('parts')
  const all = (Array.isArray(parts) ? parts : []).map(membersOf)
  const sealed = all.find((each) => each.get('part') === part.part)
  if (sealed === undefined) throw new RangeError(`the seal does not name part ${part.part}`)
  for (const name of ['entries', 'head', 'segments', 'bytes', 'last'] as const)
    if (sealed.get(name) !== part[name])
      throw new RangeError(
        `the seal says ${name} ${String(sealed.get(name))}; here it is ${part[name]}`,
      )
}
