import { type Kysely, sql } from 'kysely'
import type { FactName } from '../ledger/facts.ts'
import type { Tables } from '../ports/tables/tables.ts'

/** Where a fact stands. */
export interface FactPlace {
  readonly ledger: string
  readonly part: string
  readonly position: number
}

/** What facts are looked for by. */
export interface FactsAbout {
  /** Ids and names of what the facts are about. */
  readonly subjects: readonly string[]
  /** Ids of agents: what they did themselves counts too. */
  readonly agents: readonly string[]
  /** When the incident's sessions were there. */
  readonly from: Date
  readonly until: Date
}

export const factsMax = 10_000

/** What was in force, and what became of the gateway itself, while the sessions were there. */
const surroundings: readonly FactName[] = [
  'policies.loaded',
  'policies.refused',
  'gateway.started',
  'gateway.stopped',
  'worker.lost',
  'key.rotated',
  'ledger.lost',
]

/** Where facts about an incident stand, as the index says, oldest first: one more than `factsMax` where there are more. */
export async function placesOfFacts(
  db: Kysely<Tables>,
  { subjects, agents, from, until }: FactsAbout,
): Promise<FactPlace[]> {
  const { rows } = await sql<FactPlace>`
    with wanted as (
      select session_id, part, position, at from fact where subject = any (${[...subjects]}::text[])
      union
      select session_id, part, position, at from fact
        where path && ${[...agents]}::text[] and path[cardinality(path)] = any (${[...agents]}::text[])
      union
      select session_id, part, position, at from fact
        where what = any (${[...surroundings]}::text[]) and at >= ${from} and at <= ${until}
      union
      -- The policies that were in force when it began.
      (select session_id, part, position, at from fact
        where what = ${'policies.loaded' satisfies FactName} and at < ${from} order by at desc limit 1))
    select session_id as ledger, part, position from wanted
    order by at, session_id, position limit ${factsMax + 1}`.execute(db)
  return rows
}
