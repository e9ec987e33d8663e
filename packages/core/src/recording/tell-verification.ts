import type { Verification } from './verify-recordings.ts'

/** Findings beyond this are counted: a store that lost its keys has one for each object. */
const findingsMax = 20

/** What a verification found, in words for people. */
export function tellVerification(result: Verification): string[] {
  const { sessions, entries, segments, unopened, anchors, findings, notes, signedBy } = result
  const lines: string[] = []
  const count = `${sessions} ${sessions === 1 ? 'recording' : 'recordings'}, ${entries} entries in ${segments} segments`
  const keys = signedBy.length === 0 ? 'nothing is signed' : `signed by ${signedBy.join(' and ')}`
  if (findings.length === 0) lines.push(`✓ ${count}, ${keys}`)
  else {
    lines.push(`✕ ${findings.length} found in ${count}`)
    for (const { where, what, offset } of findings.slice(0, findingsMax))
      lines.push(`  ${where}${offset === undefined ? '' : ` at byte ${offset}`}: ${what}`)
    if (findings.length > findingsMax) lines.push(`  and ${findings.length - findingsMax} more`)
  }
  if (anchors.count > 0)
    lines.push(
      `  Anchors ${anchors.from} to ${anchors.to}, the newest of ${result.anchoredAt ?? '?'}.`,
    )
  if (unopened > 0)
    lines.push(
      `  ${unopened} were not opened, since their keys are not here: only places, lengths and signatures were checked.`,
    )
  for (const note of notes) lines.push(`  ${note}`)
  if (findings.length > 0 || sessions === 0) return lines
  lines.push(
    '  Proves: nothing was changed since it was signed, and nothing is missing in between.',
    '  Does not prove: that the gateway wrote the truth, that these keys are its own, or anything after the newest anchor.',
  )
  return lines
}
