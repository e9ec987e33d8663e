import type { Command } from 'commander'
import { contextOf } from './context.ts'
import type { MakeVerb } from './program.ts'
import type { NewIncidentFlags, ReportFlags } from './verbs/incident.ts'

/** The verbs that put an incident together. */
export function addIncidentVerbs(
  program: Command,
  verb: MakeVerb,
  finish: (code: number) => void,
): void {
  const group = verb(
    program,
    'incident',
    'List incidents; new, show, report and close open one, tell what it covers, answer its questions, and end it.',
    'sallyport incident',
  ).action(async (_flags: unknown, command: Command) => {
    finish(await (await import('./verbs/incident.ts')).listIncidents(contextOf(command)))
  })
  verb(
    group,
    'new <what...>',
    'Open an incident: of a session with all of its tree, of an agent with all below it, or of what a search finds.',
    'sallyport incident new s_4tq --title "orders deleted" --since 2h',
  )
    .requiredOption('--title <text>', 'what it is about')
    .option('--since <time>', '2h (so long ago), 2026-11-20, 2026-11-20T14:00; UTC')
    .option('--until <time>', 'the same; without it sessions that come later are covered too')
    .action(async (what: string[], flags: NewIncidentFlags, command: Command) => {
      const { newIncident } = await import('./verbs/incident.ts')
      finish(await newIncident(contextOf(command), what.join(' '), flags))
    })
  verb(
    group,
    'show <incident>',
    'What an incident covers.',
    'sallyport incident show in_22',
  ).action(async (incident: string, _flags: unknown, command: Command) => {
    const { showIncident } = await import('./verbs/incident.ts')
    finish(await showIncident(contextOf(command), incident))
  })
  verb(
    group,
    'close <incident>',
    'Say that an incident is over. What it covers stays as it is, and held, until each hold is removed by its name.',
    'sallyport incident close in_22 --note "backups restored, key rotated"',
  )
    .requiredOption('--note <text>', 'what came of it, at most 500 characters')
    .action(async (incident: string, flags: { note: string }, command: Command) => {
      const { closeIncident } = await import('./verbs/incident.ts')
      finish(await closeIncident(contextOf(command), incident, flags))
    })
  verb(
    group,
    'report <incident>',
    'Who started it, what each agent ran, what came back, what changed, what was stopped, what is not known.',
    'sallyport incident report in_22 --as zip --file evidence-in_22.zip',
  )
    .option('--as <form>', 'markdown, json, or zip with the recordings and verify.mjs', 'markdown')
    .option(
      '--file <path>',
      'where to; a zip goes to a file of its name, all else to standard output',
    )
    .option('--force', 'replace a file that is there', false)
    .action(async (incident: string, flags: ReportFlags, command: Command) => {
      const { reportIncident } = await import('./verbs/incident.ts')
      finish(await reportIncident(contextOf(command), incident, flags))
    })
}
