import { SallyportError } from '@sallyport/core'
import {
  dangerMatrix,
  lintPolicies,
  readPolicyFiles,
  type DangerCell,
  type Finding,
  type KnownGroup,
  type LintKnowledge,
  type LintReport,
  type PolicyFile,
} from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import type { GatewayApi } from '../gateway-api.ts'
import { printable, printOne } from '../output.ts'
import { policyFiles } from './policy-files.ts'
import { replayed } from './policy-simulate.ts'
import { sarifOf } from './sarif.ts'

export interface LintFlags {
  readonly failOn: string
  readonly matrix?: boolean
  readonly history?: string
  /** False for `--no-gateway`. */
  readonly gateway: boolean
  readonly output?: string
}

/** Looks for what is wrong with policies, and what looks wrong. With a gateway it knows more; without, it says what it could not check. */
export async function lint(
  context: VerbContext,
  paths: readonly string[],
  flags: LintFlags,
): Promise<number> {
  const worst = failOn(flags.failOn)
  const files = await policyFiles(paths)
  const api = flags.gateway ? await gatewayIfAny(context) : undefined
  if (flags.matrix === true) return await matrix(context, files, api)
  const report = lintPolicies(files, await knowledgeOf(context, files, flags, api))
  if (flags.output === 'sarif') context.output.data(`${JSON.stringify(sarifOf(report))}\n`)
  else await printOne(context.output, report, lintText(report), String(report.findings.length))
  const fails = report.findings.some(({ severity }) => severity === 'error' || worst === 'warning')
  return fails && worst !== 'never' ? EXIT.findings : EXIT.done
}

const thresholds = ['error', 'warning', 'never'] as const

function failOn(text: string): (typeof thresholds)[number] {
  const found = thresholds.find((each) => each === text)
  if (found !== undefined) return found
  throw new SallyportError('SP_CONFIG_INVALID', `--fail-on takes ${thresholds.join(', ')}`)
}

/** The static part needs no gateway, nor a login: an agent may look at the policies that it writes. */
async function gatewayIfAny(context: VerbContext): Promise<GatewayApi | undefined> {
  try {
    const api = await context.api()
    await api.call('GET /v1/status')
    return api
  } catch (error) {
    const code = error instanceof SallyportError ? error.code : undefined
    if (code === 'SP_GATEWAY_UNREACHABLE' || code === 'SP_LOGIN_INSIDE_AGENT') return undefined
    throw error
  }
}

async function knowledgeOf(
  context: VerbContext,
  files: readonly PolicyFile[],
  { history: since }: LintFlags,
  api: GatewayApi | undefined,
): Promise<LintKnowledge> {
  if (api === undefined) {
    if (since === undefined) return {}
    throw new SallyportError(
      'SP_GATEWAY_UNREACHABLE',
      '--history needs a gateway, and none was asked',
    )
  }
  const groups = await knownGroups(api)
  // What does not load can't be replayed; lint says why.
  if (since === undefined || readPolicyFiles(files).kind === 'refused') return { groups }
  const { commands, notAsked, cannotJudge, rules } = await replayed(context, api, files, since)
  const without = cannotJudge.reduce((sum, each) => sum + each.commands, notAsked)
  return { groups, history: { since, commands: commands - without, rules } }
}

async function knownGroups(api: GatewayApi): Promise<ReadonlyMap<string, KnownGroup>> {
  const groups = await api.call('GET /v1/policies/groups')
  return new Map(Object.entries(groups))
}

function lintText({ findings, notChecked, policies, rules }: LintReport): string {
  const lines = findings.map(findingLine)
  const errors = findings.filter(({ severity }) => severity === 'error').length
  for (const { check, why, rule } of notChecked)
    lines.push(`not checked  ${check}${rule === undefined ? '' : ` of ${rule}`}: ${why}`)
  const counts = `${plural(errors, 'error')}, ${plural(findings.length - errors, 'warning')}`
  const all = `${plural(rules, 'rule')} in ${policies === 1 ? '1 policy' : `${policies} policies`}`
  const unchecked = notChecked.length === 0 ? '' : `, ${notChecked.length} not checked`
  lines.push(`${all}: ${counts}${unchecked}`)
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function findingLine({ file, line, column, severity, check, message, hint }: Finding): string {
  const word = severity === 'error' ? 'error  ' : 'warning'
  const more = hint === '' ? '' : `; ${hint}`
  return `${file}:${line}:${column}  ${word}  ${check}  ${message}${more}`
}

function plural(count: number, word: string): string {
  return count === 1 ? `1 ${word}` : `${count} ${word}s`
}

async function matrix(
  context: VerbContext,
  files: readonly PolicyFile[],
  api: GatewayApi | undefined,
): Promise<number> {
  const loaded = readPolicyFiles(files)
  if (loaded.kind === 'refused') {
    const { printProblems } = await import('@sallyport/gateway')
    throw new SallyportError('SP_CONFIG_INVALID', printProblems(loaded.problems))
  }
  const connections =
    api === undefined
      ? [{ name: 'target', labels: {}, type: 'postgres' }]
      : await api.call('GET /v1/connections')
  const cells = await dangerMatrix(loaded.policies, connections)
  const note =
    api === undefined ? 'No gateway was asked: one connection without labels stands for all.\n' : ''
  await printOne(context.output, { cells }, `${note}${matrixText(cells)}`, String(cells.length))
  return EXIT.done
}

const words = { allow: 'allowed', approve: 'held', block: 'blocked' } as const

/** A line for each command, a column for each connection and caller. */
function matrixText(cells: readonly DangerCell[]): string {
  const headOf = (cell: DangerCell): string => `${cell.connection} ${cell.caller}`
  const heads = [...new Set(cells.map(headOf))]
  const commands = [...new Set(cells.map(({ command }) => command))]
  const at = new Map(cells.map((cell) => [`${headOf(cell)} ${cell.command}`, cell]))
  const wordOf = (cell: DangerCell | undefined): string =>
    cell === undefined ? '' : `${words[cell.effect]}${cell.unsure ? '?' : ''}`
  const rows = [
    ['', ...heads],
    ...commands.map((command) => [
      command,
      ...heads.map((head) => wordOf(at.get(`${head} ${command}`))),
    ]),
  ]
  const widths = rows[0]?.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  )
  const lines = rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths?.[column] ?? 0)).join('  '),
  )
  const unasked = cells.filter(({ effect }) => effect === 'allow').length
  const unsure = cells.some((cell) => cell.unsure)
    ? '? a rule could not be evaluated for this caller, and so counts as a match\n'
    : ''
  return `${lines.map((line) => `${printable(line.trimEnd())}\n`).join('')}${unsure}${unasked} of ${cells.length} run without anybody being asked, where the grant allows them\n`
}
