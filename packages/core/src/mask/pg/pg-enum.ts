import type { MaskFunction } from '../../verdict.ts'
import { isKeyed } from '../mask-function.ts'
import type { MaskKey } from '../mask-key.ts'
import type { Masker } from './pg-number.ts'

/** Exchanges the labels of an enum by a keyed permutation; both forms of a value are its label. Undefined for functions that show a part. */
export function enumMasker(
  fn: MaskFunction,
  labels: readonly string[],
  key: MaskKey,
): Masker | undefined {
  if (!isKeyed(fn)) return undefined
  const sorted = labels.toSorted()
  const shuffled = sorted
    .map((label) => [key.macText('enum', label), label] as const)
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
  const masks = new Map(sorted.map((label, at) => [label, Buffer.from(shuffled[at]?.[1] ?? '')]))
  // A label that was added a moment ago is not known yet: nothing of it is shown.
  return (value) => masks.get(value.toString())
}
