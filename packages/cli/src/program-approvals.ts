import type { Command } from 'commander'
import { contextOf } from './context.ts'
import type { MakeVerb } from './program.ts'
import type { AnswerFlags, ListFlags } from './verbs/approvals.ts'

/** The verbs that answer requests for approval. */
export function addApprovalVerbs(
  program: Command,
  verb: MakeVerb,
  finish: (code: number) => void,
): void {
  const group = verb(
    program,
    'approvals',
    'Commands that wait for an approval; show tells all of one, watch tells each as it comes.',
    'sallyport approvals --state all',
  )
    .option(
      '--state <state>',
      'pending, approved, used, denied, expired, withdrawn, all',
      'pending',
    )
    .action(async (flags: ListFlags, command: Command) => {
      const { listApprovals } = await import('./verbs/approvals.ts')
      finish(await listApprovals(contextOf(command), flags))
    })
  verb(
    group,
    'show <approval>',
    'Who asks, what it would do, by which rules, and what was answered.',
    'sallyport approvals show ap_9q2',
  ).action(async (approval: string, _flags: unknown, command: Command) => {
    const { showApproval } = await import('./verbs/approvals.ts')
    finish(await showApproval(contextOf(command), approval))
  })
  verb(
    group,
    'count <approval>',
    'Count the rows that a command which waits would meet: read-only, for 5 s at most.',
    'sallyport approvals count ap_9q2',
  ).action(async (approval: string, _flags: unknown, command: Command) => {
    const { countApproval } = await import('./verbs/approvals.ts')
    finish(await countApproval(contextOf(command), approval))
  })
  verb(
    group,
    'bundles',
    'Many of one shape that wait, where the rules let them be answered together, each with its text.',
    'sallyport approvals bundles',
  ).action(async (_flags: unknown, command: Command) => {
    const { listBundles } = await import('./verbs/approval-bundles.ts')
    finish(await listBundles(contextOf(command)))
  })
  verb(
    group,
    'stats',
    'How often people are asked, and whether they look: by approver and by rule.',
    'sallyport approvals stats --since 7d',
  )
    .option('--since <time>', 'such as 7d or 2026-11-20', '30d')
    .action(async (flags: { since: string }, command: Command) => {
      const { approvalStats } = await import('./verbs/approval-stats.ts')
      finish(await approvalStats(contextOf(command), flags.since))
    })
  verb(
    group,
    'shapes',
    'Shapes of commands that are let through for a while.',
    'sallyport approvals shapes',
  ).action(async (_flags: unknown, command: Command) => {
    const { listShapes } = await import('./verbs/approvals.ts')
    finish(await listShapes(contextOf(command)))
  })
  verb(
    group,
    'withdraw <approval>',
    'Ask for commands of an approved shape again.',
    'sallyport approvals withdraw ap_9q2',
  ).action(async (approval: string, _flags: unknown, command: Command) => {
    const { withdrawShape } = await import('./verbs/approvals.ts')
    finish(await withdrawShape(contextOf(command), approval))
  })
  verb(
    group,
    'watch',
    'Each request as it begins, is answered and ends, until Ctrl-C.',
    'sallyport approvals watch',
  ).action(async (_flags: unknown, command: Command) => {
    const { watchApprovals } = await import('./verbs/approvals.ts')
    finish(await watchApprovals(contextOf(command)))
  })
  for (const decision of ['approve', 'deny'] as const) {
    const about =
      decision === 'approve'
        ? 'Let a command run that waits: this one, once.'
        : 'Refuse a command that waits; its caller reads the note.'
    const note = decision === 'approve' ? '"ok, checked with Ben"' : '"add a LIMIT"'
    const verbOf = verb(
      program,
      `${decision} [approval]`,
      about,
      `sallyport ${decision} ap_9q2 --note ${note}`,
    )
      .option('--note <text>', 'what the caller and the ledger read', '')
      .option('--bundle <id>', 'in the place of one: all of a bundle, see approvals bundles')
    if (decision === 'approve')
      verbOf.option('--shape <duration>', 'also others of its shape, where the rules offer it: 30m')
    verbOf.action(async (approval: string | undefined, flags: AnswerFlags, command: Command) => {
      const { answerOne } = await import('./verbs/approvals.ts')
      const { answerBundle } = await import('./verbs/approval-bundles.ts')
      const answer = flags.bundle === undefined ? answerOne : answerBundle
      finish(await answer(contextOf(command), approval, decision, flags))
    })
  }
}
