import { SallyportError, type ExplainedRule, type ExplainedTree } from '@sallyport/core'
import type { Asked, Explanation } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printable, printOne } from '../output.ts'

export interface ExplainFlags {
  readonly command?: string
  readonly as?: string
  readonly on?: string
  readonly level: string
}

/** Says of a command what was decided, by which rules and clauses, and by which way its masked columns came; or what would be. */
export async function explain(
  context: VerbContext,
  what: string | undefined,
  flags: ExplainFlags,
): Promise<number> {
  const api = await context.api()
  const found =
    what === undefined
      ? await api.call('POST /v1/policies/explain', { body: trialOf(flags) })
      : await api.call('GET /v1/decisions/{what}', { params: { what } })
  await printOne(context.output, found, explanationText(found), found.decision ?? found.effect)
  return found.differs === true ? EXIT.integrity : EXIT.done
}

function trialOf({
  command,
  as,
  on,
  level,
}: ExplainFlags): Asked<'POST /v1/policies/explain'>['body'] {
  if (command === undefined || as === undefined || on === undefined) {
    const ways = 'give a decision, or --command, --as agent:… and --on CONNECTION'
    throw new SallyportError('SP_CONFIG_INVALID', ways)
  }
  return { command, agent: as.replace(/^agent:/u, ''), connection: on, level: Number(level) }
}

const verdicts: Readonly<Record<string, string>> = {
  allow: 'ALLOWED',
  approve: 'HELD',
  block: 'BLOCKED',
}
const marks = { true: '✓', false: '✗', unknown: '?' } as const

/** An explanation for people. */
export function explanationText(found: Explanation): string {
  const { explained, lineage, masked, refused } = found
  const lines = [...headOf(found), ...grantsOf(found)]
  if (refused !== undefined) lines.push(`  refused   ${refused.code}: ${refused.message}`)
  if (found.unexplained !== undefined) lines.push(`  ${found.unexplained}`)
  for (const rule of explained?.each ?? []) lines.push(...ruleLines(rule, found.effect))
  if (explained?.each.length === 0) lines.push('  no rule is about this')
  lines.push(...lineage.map((line) => `  ${line}`))
  lines.push(...masked.map(({ rule, values }) => `  ${values} values masked by ${rule}`))
  lines.push(...changeOf(found))
  if (found.differs === true) {
    lines.push(
      '! Asked once more, the rules do not say what was recorded. This is a fault: report it.',
    )
  }
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function headOf(found: Explanation): string[] {
  const { effect, decision, session, seq, chain, level, connection, at, policyVersion } = found
  const rules = found.rules.length === 0 ? '' : ` by ${found.rules.join(', ')}`
  const place = decision === undefined ? 'nothing was sent' : `${decision}  ${session}#${seq}`
  const who = `${chain.join(' › ')} (depth ${chain.length - 1}, L${level}) on ${connection}`
  const when = at === undefined ? '' : `  ${at}`
  return [
    `${verdicts[effect] ?? effect}${rules}  (${place})`,
    `  ${who}  class ${found.class}${when}  policy v${policyVersion}`,
    ...found.text.split(/\r?\n/u).map((line) => `    ${line}`),
  ]
}

function grantsOf({ grants }: Explanation): string[] {
  if (grants === undefined) return []
  return grants.map(
    ({ agent, holds }) => `  grant     ${agent}: ${holds.join('; ') || 'as above it'}`,
  )
}

function ruleLines(
  { standing, effect, name, at, condition }: ExplainedRule,
  verdict: string,
): string[] {
  const word = standing === 'no match' ? 'no match' : effect
  const note =
    standing === 'outweighed'
      ? `matched, ${verdict} came first`
      : standing === 'observed'
        ? 'matched, only observes'
        : ''
  return [
    `  ${word.padEnd(9)} ${name}  ${at}${note === '' ? '' : `  ${note}`}`,
    ...clauseLines(condition, ''),
  ]
}

const indent = '            '

function clauseLines(tree: ExplainedTree, joint: string): string[] {
  switch (tree.kind) {
    case 'clause': {
      const mark = tree.needed ? marks[tree.state] : '–'
      const facts = tree.facts.map(({ path, value }) =>
        value === undefined ? `${path} is not known` : `${path} = ${shown(value)}`,
      )
      const known = tree.why === undefined || tree.facts.some((fact) => fact.value === undefined)
      const why = known ? '' : `  (${tree.why})`
      const read = tree.needed && facts.length > 0 ? `    ${facts.join(', ')}` : ''
      return [`${indent}${mark} ${joint}${tree.text}${read}${why}`]
    }
    case 'not':
      return clauseLines(tree.part, `${joint}not `)
    case 'all':
    case 'any':
      return tree.parts.flatMap((part, index) =>
        clauseLines(part, index === 0 || tree.kind === 'all' ? joint : `${joint}or `),
      )
  }
}

/** Longer values help nobody who looks for why. */
const valueCharactersMax = 120

function shown(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length > valueCharactersMax ? `${text.slice(0, valueCharactersMax)}…` : text
}

function changeOf({ explained, effect, decision }: Explanation): string[] {
  if (explained === undefined || effect === 'allow' || explained.effect === 'allow') return []
  const deciding = explained.each.filter(
    (rule) => rule.standing === 'decided' && rule.effect === explained.effect,
  )
  const owners = [...new Set(deciding.map(({ owner }) => owner).filter((owner) => owner !== ''))]
  const owner = owners.length === 0 ? '' : ` Owner: ${owners.join(', ')}`
  const verb = decision === undefined ? 'would change' : 'would have changed'
  if (explained.wayOut.length > 0)
    return [`What ${verb} it: ${explained.wayOut.join('; ')}.${owner}`]
  if (deciding.length === 0) return [`What ${verb} it: a rule that allows this; a default decided.`]
  return [`What ${verb} it: nothing about the caller; the rule has no exception.${owner}`]
}
