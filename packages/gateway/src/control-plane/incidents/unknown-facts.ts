import type { Kysely } from 'kysely'
import type { Tables } from '../ports/tables/tables.ts'
import { valuesMax, type Gathered } from './gathered.ts'
import { factsMax } from './incident-facts.ts'
import type { SessionFact, UnknownFact, IncidentView } from '../contract/incident-views.ts'

/** What a report was made of, as far as that bounds what it knows. */
export interface ReportBounds {
  readonly incident: IncidentView
  /** Sessions that could be read. */
  readonly readable: readonly string[]
  readonly gathered: Gathered
  readonly indexProblem: string | undefined
  /** True where the ledgers have more facts about it than a report reads. */
  readonly hasMoreFacts: boolean
}

/** The answer to the sixth question: what is not known. */
export async function unknownOf(db: Kysely<Tables>, bounds: ReportBounds): Promise<UnknownFact[]> {
  return [
    ...unreadable(bounds),
    ...limits(bounds),
    ...(await guarded(db, bounds.gathered.sessions)),
    ...bounds.gathered.unknown,
  ]
}

function unreadable({ incident, readable }: ReportBounds): UnknownFact[] {
  return incident.sessions
    .filter((session) => !readable.includes(session))
    .map((session) => ({
      what: 'nothing of this session can be read: it is not recorded, or its key was erased',
      session,
    }))
}

function limits({ incident, gathered, indexProblem, hasMoreFacts }: ReportBounds): UnknownFact[] {
  const unknown: UnknownFact[] = []
  const say = (what: string): void => void unknown.push({ what })
  if (indexProblem !== undefined)
    say(
      `the index of searches is behind (${indexProblem}): sessions may be missing from this incident`,
    )
  if (incident.scope.kind === 'query')
    say(
      'the sessions were found in the index: it holds the first 8 KiB of each text, and no data of answers',
    )
  if (gathered.leftOut > 0)
    say(`${gathered.leftOut} lines had no room in this report; the transcripts hold them`)
  if (gathered.values >= valuesMax)
    say(`detectors looked at the first ${valuesMax} values that came back, and at no more`)
  say(
    'clear values are those that detectors know by their form, in the first 1000 characters of a value and in rows up to 1 MiB; others may be sensitive all the same',
  )
  say(
    'who was refused before a session began, at a login or when it asked for a credential, is in no recording',
  )
  say(
    'which facts of the ledgers are about this incident was looked up in an index; the facts themselves are from ledgers that were verified',
  )
  if (hasMoreFacts)
    say(`the ledgers have more than ${factsMax} facts about it; the first were read`)
  return unknown
}

async function guarded(
  db: Kysely<Tables>,
  sessions: readonly SessionFact[],
): Promise<UnknownFact[]> {
  const names = [...new Set(sessions.map(({ connection }) => connection))]
  if (names.length === 0) return []
  const rows = await db
    .selectFrom('connection')
    .select('name')
    .where('name', 'in', names)
    .where('masking', '=', 'guard')
    .execute()
  return rows.map(({ name }) => ({
    what: `${name} masks at the target: how many values were masked there is not recorded`,
  }))
}
