import { visibleText } from '@sallyport/core'
import type {
  AgentFact,
  AgentOfIncident,
  ChangeFact,
  CommandFact,
  IncidentReport,
  Place,
} from '../contract/incident-views.ts'

/** A report for people, in Markdown (CommonMark). What callers wrote stands in code, so that it is nothing but text. */
export function printReport(report: IncidentReport): string {
  const { incident } = report
  const time =
    incident.from === undefined && incident.until === undefined
      ? ''
      : `, ${incident.from ?? 'the beginning'} to ${incident.until ?? 'now'}`
  const lines = [
    `# Incident ${incident.id}: ${code(incident.title)}`,
    '',
    `Opened by ${code(incident.openedBy)} at ${incident.openedAt}; covers ${incident.scope.kind} ${code(incident.scope.text)}${time}: ${incident.sessions.length} sessions. Report made ${report.madeAt}.`,
    ...(incident.closed === undefined
      ? []
      : [
          '',
          `Closed by ${code(incident.closed.by)} at ${incident.closed.at}: ${code(incident.closed.note)}.`,
        ]),
    '',
    ...proof(report),
    '## 1. Who started the chain',
    '',
    ...started(report),
    '## 2. What each agent ran',
    '',
    ...ran(report),
    '## 3. What sensitive data came back, and to whom',
    '',
    ...returned(report),
    '## 4. What changed at the targets',
    '',
    ...changed(report),
    '## 5. What was stopped or approved, and by whom',
    '',
    ...stopped(report),
    '## 6. What is not known',
    '',
    ...report.unknown.map(
      (fact) =>
        `- ${'session' in fact && fact.session !== undefined ? `${place({ ...fact, session: fact.session })}: ` : ''}${fact.what}`,
    ),
    '',
    "A place such as `s_…#12` is command 12 of that session: `sallyport replay s_… --at '#12'`, or `transcripts/s_….txt` in the archive.",
  ]
  return `${lines.join('\n')}\n`
}

function proof({ proof: of }: IncidentReport): string[] {
  const anchored = of.anchoredAt === undefined ? '' : `, the newest anchor is of ${of.anchoredAt}`
  const keys = of.signedBy.map(code).join(', ')
  const all = `${of.entries} entries of ${of.recordings} recordings`
  const verdict = of.isVerified
    ? `**Verified.** All numbers below are computed from ${all}, whose chains, seals and anchors were checked before: signed by ${keys}${anchored}. It proves that nothing was changed since, and nothing is missing in between; not that the gateway wrote the truth.`
    : `**NOT VERIFIED.** The numbers below are computed from ${all}, of which ${of.unverifiedEntries} do not verify, with ${of.findings.length} findings. Do not rely on them.`
  return [
    verdict,
    '',
    ...of.findings.map((finding) => `- finding: ${code(finding)}`),
    ...of.notes.map((note) => `- ${code(note)}`),
    ...of.ledgers.map(
      ({ session, entries }) =>
        `- the ledger ${session} was verified from its beginning to entry ${entries - 1}`,
    ),
    `- ${of.facts} facts of ledgers are about this incident; an archive holds them in \`ledger.jsonl\``,
    '',
  ]
}

function started({
  started: { roots, agents, births },
  ran: { sessions },
}: IncidentReport): string[] {
  const sources = [...new Set(sessions.map(({ source }) => source))].map(code).join(', ')
  return [
    ...roots.map(
      (root) =>
        `- ${agentLine(root)}, principal ${code(root.principal)}, owner ${code(root.owner)}`,
    ),
    `- Sessions came from ${sources}.`,
    '',
    ...agents
      .filter(({ parent }) => parent !== undefined)
      .map((agent) => `- below it: ${agentLine(agent)}`),
    ...births.map((fact) => `- ${factLine(fact)}`),
    '',
  ]
}

function agentLine({ id, chain, born, createdAt, state, purpose, ended }: AgentOfIncident): string {
  const why = purpose === undefined ? '' : `, purpose ${code(purpose)}`
  const end =
    ended === undefined
      ? state
      : `${state} ${ended.at} by ${code(ended.by)}${ended.reason === '' ? '' : `: ${code(ended.reason)}`}`
  return `${code(chain)} (${id}), born ${createdAt} by ${born}${why}; ${end}`
}

function factLine({ at, what, agent, by, reason }: AgentFact): string {
  return `${at} ${what} ${agent} by ${code(by)}${reason === undefined ? '' : `: ${code(reason)}`}`
}

function ran({ ran: { sessions, commands } }: IncidentReport): string[] {
  const lines: string[] = []
  const byAgent = Map.groupBy(sessions, ({ chain, agent }) => `${code(chain)} (${agent})`)
  for (const [agent, own] of byAgent) {
    const ids = new Set(own.map(({ session }) => session))
    const count = (verdict: 'allowed' | 'held' | 'blocked'): number =>
      own.reduce((sum, each) => sum + each.commands[verdict], 0)
    lines.push(
      `### ${agent}: ${count('allowed')} allowed, ${count('held')} held, ${count('blocked')} blocked`,
      '',
      ...own.map(
        (each) =>
          `- ${each.session}: ${code(each.connection)}/${code(each.database)}, L${each.level}, from ${code(each.source)} with ${code(each.application)}, ${each.openedAt} to ${each.closedAt ?? '…'}${each.reason === undefined ? '' : ` (${code(each.reason)})`}`,
      ),
      '',
      ...commands.filter(({ session }) => ids.has(session)).map(commandLine),
      '',
    )
  }
  return lines
}

function ranBy({ approved }: CommandFact): string {
  return approved === undefined
    ? 'allowed'
    : `**approved** by ${approved.by.map(code).join(', ')} (${approved.approval})`
}

function commandLine(fact: CommandFact): string {
  const by = fact.rules.length === 0 ? '' : ` by ${fact.rules.map(code).join(', ')}`
  const verdict = fact.verdict === 'allowed' ? ranBy(fact) : `**${fact.verdict}**${by}`
  const refused = fact.refused === undefined ? '' : ` → ${fact.refused.code}`
  const tag = fact.tag === undefined ? '' : ` → ${code(fact.tag)}`
  const state = fact.sqlState === undefined ? '' : ` ${code(fact.sqlState)}`
  return `- ${place(fact)} ${fact.at} ${verdict} ${fact.class}: ${code(fact.text)}${tag}${state}${refused}`
}

function returned({ returned: facts }: IncidentReport): string[] {
  if (facts.length === 0) return ['Nothing that a mask or a detector knows.', '']
  const total = (how: string): number =>
    facts.filter((each) => each.how === how).reduce((sum, { values }) => sum + values, 0)
  return [
    `${total('masked')} values masked, ${total('clear')} clear.`,
    '',
    '| to | where | how | what | columns | values |',
    '|---|---|---|---|---|---|',
    ...facts.map((each) => {
      const where = each.commands.map((seq) => place({ session: each.session, seq })).join(' ')
      const columns = each.columns.map(code).join(', ')
      return `| ${cell(code(each.chain))} | ${where} on ${cell(code(each.connection))} | ${each.how} | ${cell(code(each.what))} | ${cell(columns)} | ${each.values} |`
    }),
    '',
  ]
}

function changed({ changed: facts }: IncidentReport): string[] {
  if (facts.length === 0)
    return ['Nothing: no statement that could change something was let through.', '']
  return [...facts.map(changeLine), '']
}

function changeLine(fact: ChangeFact): string {
  const rows = fact.changed === undefined ? '' : `, ${fact.changed} rows`
  const objects = fact.objects.length === 0 ? '' : ` on ${fact.objects.map(code).join(', ')}`
  return `- ${place(fact)} ${fact.at} ${code(fact.connection)}: ${fact.verb}${objects}${rows}, ${fact.outcome}: ${code(fact.text)}`
}

function stopped({ stopped: { commands, agents } }: IncidentReport): string[] {
  const lines = commands.map((fact) => {
    const by =
      fact.rules.length === 0
        ? 'by its grant or a default'
        : `by ${fact.rules.map(code).join(', ')}`
    const said = fact.refused === undefined ? '' : `: ${code(fact.refused.message)}`
    return `- ${place(fact)} ${fact.at} ${code(fact.connection)} ${code(fact.text)}: ${fact.verdict === 'allowed' ? 'stopped' : `${fact.verdict} ${by}`}, ${fact.refused?.code ?? 'refused'}${said}`
  })
  return [
    ...(lines.length === 0 ? ['No command was stopped.'] : lines),
    ...agents.map((fact) => `- ${factLine(fact)}`),
    '',
    'Nobody approved anything: this version asks no person, and refuses what would have to be approved.',
    '',
  ]
}

function place({ session, seq }: Place): string {
  return seq === undefined ? session : `${session}#${seq}`
}

/** A code span whose fence is longer than any run of backticks in it. */
function code(text: string): string {
  const plain = visibleText(text.replaceAll(/\s+/gu, ' ')).trim()
  if (plain === '') return '–'
  const longest = Math.max(0, ...[...plain.matchAll(/`+/gu)].map(([run]) => run.length))
  const fence = '`'.repeat(longest + 1)
  const pad = plain.startsWith('`') || plain.endsWith('`') ? ' ' : ''
  return `${fence}${pad}${plain}${pad}${fence}`
}

/** Inside a table a bar would end the cell, also in code (GitHub Flavored Markdown, section 4.10). */
function cell(text: string): string {
  return text.replaceAll('|', String.raw`\|`)
}
