import { createHash } from 'node:crypto'
import type { MaskFunction, MaskRule } from '../verdict.ts'

/** One column pattern, and what stands in the place of its values. */
export interface MaskLine {
  readonly column: readonly string[]
  readonly with: MaskFunction
}

/** The column masks that hold for a session together. One role of the target enforces them, so they have one name. */
export interface MaskSet {
  /** Eight hexadecimal digits of what the lines say: equal sets are one, whatever rules they come from. */
  readonly id: string
  readonly lines: readonly MaskLine[]
}

const idDigits = 8

/** The column masks of some rules; undefined where none names a column. Detectors are no part of it: they look at values. */
export function maskSetOf(
  masks: readonly Pick<MaskRule, 'columns' | 'with'>[],
): MaskSet | undefined {
  const byKey = new Map<string, MaskLine>()
  for (const mask of masks) {
    for (const column of mask.columns) {
      const line = { column, with: mask.with }
      byKey.set(lineKey(line), line)
    }
  }
  if (byKey.size === 0) return undefined
  const keys = [...byKey.keys()].toSorted()
  const id = createHash('sha256').update(keys.join('\n')).digest('hex').slice(0, idDigits)
  return { id, lines: keys.flatMap((key) => byKey.get(key) ?? []) }
}

/** Whether whoever enforces `set` enforces all of these masks too. A stronger function under another name does not count. */
export function coversMasks(
  set: Pick<MaskSet, 'lines'> | undefined,
  masks: readonly Pick<MaskRule, 'columns' | 'with'>[],
): boolean {
  const wanted = maskSetOf(masks)
  if (wanted === undefined) return true
  if (set === undefined) return false
  const held = new Set(set.lines.map(lineKey))
  return wanted.lines.every((line) => held.has(lineKey(line)))
}

function lineKey(line: MaskLine): string {
  return JSON.stringify([line.column, line.with])
}
