import {
  effectsFactsJson,
  FactsReader,
  sessionFactsJson,
  type CommandEntry,
  type RecordedSource,
} from '@sallyport/core'
import { sessionEntries, type RecordingSources } from '../recordings/recordings.ts'
import type { RecordedCommand, ExplainedRules } from '../contract/policies.ts'

/** The commands of a session that can be made tests of, or the one decision of it that is meant. Those without recorded facts are left out. */
export async function* recordedCommands(
  sources: RecordingSources,
  session: string,
  decision: string | undefined,
  rulesOf: (version: number, source: RecordedSource) => Promise<ExplainedRules | undefined>,
): AsyncGenerator<RecordedCommand> {
  const facts = new FactsReader()
  for await (const item of sessionEntries(sources, session)) {
    if (item.kind === 'problem') continue
    const { entry } = item
    if (entry.kind === 'facts') facts.take(entry)
    if (entry.kind !== 'command') continue
    if (decision !== undefined && entry.decision !== decision) continue
    const source = facts.source(entry)
    const rules = source && (await rulesOf(entry.policyVersion, source))
    if (source !== undefined && rules !== undefined)
      yield commandOf(item.session, entry, source, rules)
  }
}

function commandOf(
  session: string,
  entry: CommandEntry,
  source: RecordedSource,
  { effect, each }: ExplainedRules,
): RecordedCommand {
  const { command, now } = source
  const deciding = each.filter((rule) => rule.standing === 'decided' && rule.effect === effect)
  return {
    decision: entry.decision,
    session,
    seq: entry.seq,
    class: entry.class,
    verb: entry.verb,
    objects: entry.objects,
    text: command.text,
    inTransaction: command.inTransaction,
    askedAtMs: now.getTime(),
    sessionFacts: sessionFactsJson(source),
    effectsFacts: effectsFactsJson(command.effects),
    effect,
    rules: deciding.map(({ id }) => id),
    reads: [...new Set(each.flatMap(({ reads }) => reads))].toSorted(),
  }
}
