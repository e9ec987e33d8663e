import { extractName } from './ledger-extract.ts'
import type { Verification } from './verify-recordings.ts'

/** Findings beyond this are counted: a store that lost its keys has one for each object. */
const findingsMax = 20

/** Names of files may be anyone's, and must not steer the terminal of whoever reads this. */
const steering = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu

/** What a verification found, in words for people: lines that are safe to print. */
export function tellVerification(result: Verification): string[] {
  return tell(result).map((line) => line.replaceAll(steering, '\ufffd'))
}

function tell(result: Verification): string[] {
  const { sessions, ledgers, entries, segments, unopened, anchors, findings, notes, signedBy } =
    result
  const { trusted } = result
  const lines: string[] = []
  const recorded = sessions + ledgers
  if (recorded === 0 && anchors.count === 0 && findings.length === 0)
    return ['  Nothing is recorded here.']
  const beside = ledgers === 0 ? '' : ` and ${ledgers} ${ledgers === 1 ? 'ledger' : 'ledgers'}`
  const count = `${sessions} ${sessions === 1 ? 'recording' : 'recordings'}${beside}, ${entries} entries in ${segments} ${segments === 1 ? 'segment' : 'segments'}`
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
  if (result.extract !== undefined)
    lines.push(
      `  ${extractName}: ${result.extract.facts} facts of ${result.extract.ledgers} ${result.extract.ledgers === 1 ? 'ledger' : 'ledgers'}, as ${result.extract.signedBy} signed them at ${result.extract.at}. It does not prove that no other fact belongs there.`,
    )
  for (const { where, from, to, same } of result.copies)
    if (same > 0 && same === to - from + 1)
      lines.push(`  Anchors ${from} to ${to} are the same in ${where}.`)
    else if (same > 0) lines.push(`  ${same} anchors are the same in ${where}.`)
  if (trusted.keys.length > 0)
    lines.push(
      trusted.isExpected
        ? `  Trusted: ${trusted.keys.join(' and ')}, as expected, and what changes of keys link to it.`
        : `  Trusted: ${trusted.keys.join(' and ')}, only since it signed first. Compare it with what the gateway's "keys" prints, or say --signed-by.`,
    )
  if (unopened > 0)
    lines.push(
      `  ${unopened} were not opened, since their keys are not here: only places, lengths and signatures were checked.`,
    )
  for (const note of notes) lines.push(`  ${note}`)
  if (findings.length > 0 || recorded === 0) return lines
  const which = unopened > 0 ? ', of the recordings that were opened' : ''
  lines.push(
    `  Proves${which}: nothing was changed since it was signed, and nothing is missing in between.`,
    `  Does not prove: that the gateway wrote the truth${trusted.isExpected ? '' : ', that these keys are its own'}, or anything after the newest anchor.`,
  )
  return lines
}
