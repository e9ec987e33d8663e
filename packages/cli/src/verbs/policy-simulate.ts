import { SallyportError } from '@sallyport/core'
import type { Change, PolicyFile, SimulationEvent } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import type { GatewayApi } from '../gateway-api.ts'
import { printable, printOne } from '../output.ts'
import { policyFiles } from './policy-files.ts'

export interface SimulateFlags {
  readonly since: string
  readonly failOn: string
}

type Report = Extract<SimulationEvent, { kind: 'report' }>

/** Replays what was recorded against other policies, and lists what would have changed; what loosens is listed apart. */
export async function simulate(
  context: VerbContext,
  paths: readonly string[],
  flags: SimulateFlags,
): Promise<number> {
  if (flags.failOn !== 'never' && flags.failOn !== 'loosening')
    throw new SallyportError('SP_CONFIG_INVALID', '--fail-on takes never, loosening')
  const files = await policyFiles(paths)
  const api = await context.api()
  const report = await replayed(context, api, files, flags.since)
  if (context.output.isTerminal) context.output.say('\r')
  await printOne(context.output, report, reportText(report, flags.since), String(report.commands))
  if (report.faultCount > 0) return EXIT.integrity
  const loosens = report.changes.some((change) => change.loosens)
  return flags.failOn === 'loosening' && loosens ? EXIT.findings : EXIT.done
}

/** Lets the gateway replay, and shows on a terminal how far it is. */
export async function replayed(
  { output }: VerbContext,
  api: GatewayApi,
  files: readonly PolicyFile[],
  since: string,
): Promise<Report> {
  for await (const event of eventsOf(
    api.text('POST /v1/policies/simulate', { body: { files, since } }),
  )) {
    if (event.kind === 'report') return event
    if (output.isTerminal) output.say(`\r${event.commands.toLocaleString('en')} commands`)
  }
  throw new SallyportError('SP_GATEWAY_UNREACHABLE', 'the gateway went away while it replayed')
}

async function* eventsOf(pieces: AsyncIterable<string>): AsyncGenerator<SimulationEvent> {
  let rest = ''
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield JSON.parse(line) as SimulationEvent
  }
}

const loosenings = ['masked → clear', 'blocked → allowed', 'blocked → held', 'held → allowed']
const tightenings = ['allowed → held', 'allowed → blocked', 'held → blocked', 'clear → masked']

function reportText(report: Report, since: string): string {
  const { commands, unchanged, cannotJudge, notAsked, unknownFacts, faultCount, faults } = report
  const cannot = cannotJudge.reduce((sum, each) => sum + each.commands, 0)
  const lines = [
    `Replayed ${commands.toLocaleString('en')} commands recorded since ${since}, each counted once, in ${(report.tookMs / 1000).toFixed(1)} s. ${cannot} could not be judged.`,
    ...tightenings.map((kind) => changeLine(kind, report)),
    '  ── loosening, listed apart ──',
    ...loosenings.flatMap((kind) => [changeLine(kind, report), ...exampleLines(kind, report)]),
    '  ──',
    `  ${'unchanged'.padEnd(20)}${unchanged.toLocaleString('en')}`,
  ]
  if (notAsked > 0)
    lines.push(
      `  ${'rules not asked'.padEnd(20)}${notAsked}   a grant refused, or the agent was gone`,
    )
  for (const { why, commands: some } of cannotJudge)
    lines.push(`  ${'cannot judge'.padEnd(20)}${some}   ${why}`)
  for (const { cause, commands: some } of unknownFacts)
    lines.push(`  ${'not known'.padEnd(20)}${some}   ${cause}: counts as a match, as it would`)
  if (faultCount > 0)
    lines.push(
      `! ${faultCount} decisions come out otherwise by the policies of then. This is a fault: report it. ${faults.join(' ')}`,
    )
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function changeLine(kind: string, { changes, commands }: Report): string {
  const change = changes.find((each) => each.kind === kind)
  const count = change?.commands ?? 0
  const head = `  ${kind.padEnd(20)}${count.toLocaleString('en')}`
  if (change === undefined) return head
  const share = ((100 * count) / Math.max(1, commands)).toFixed(1)
  return `${head}   (${share} %)   mostly ${change.mostly.agent}: ${change.mostly.what}${change.loosens ? '   ← check' : ''}`
}

const shownMax = 5

function exampleLines(kind: string, { changes }: Report): string[] {
  const examples: Change['examples'] = changes.find((each) => each.kind === kind)?.examples ?? []
  return examples
    .slice(0, shownMax)
    .map(
      ({ session, seq, agent, connection, text, rulesBefore }) =>
        `      ${session}#${seq}  ${text.replaceAll(/\s+/gu, ' ')}  by ${agent} on ${connection}  (was: ${rulesBefore.join(', ') || 'default'})`,
    )
}
