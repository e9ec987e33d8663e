import { sql } from 'kysely'
import type { HoldAsked } from '../../../boundary/approvals.ts'
import type { Store } from '../../ports/store.ts'
import { told, unknown, type CommandBefore, type ShapeHistory, type Told } from './preview.ts'

const commandsShown = 5
const textCharsShown = 200
/** Further back, the index of searches is not looked through for this. */
const commandDays = 30
const shapeDays = 30

/** The agent's newest commands that the index of searches has. */
export async function commandsBefore(
  { db }: Store,
  { agent, session, seq }: HoldAsked,
): Promise<Told<readonly CommandBefore[]>> {
  const { rows } = await sql<{ at: Date; verdict: string; text: string }>`
    select c.at, c.verdict, left(c.text, ${textCharsShown}::integer) as text
    from session s join command c on c.session_id = s.id
    where s.agent_id = ${agent} and c.at > now() - make_interval(days => ${commandDays}::integer)
      and not (c.session_id = ${session} and c.seq >= ${seq}::integer)
    order by c.at desc, c.seq desc limit ${commandsShown}::integer`.execute(db)
  if (rows.length === 0) return unknown('the index has no earlier command of this agent yet')
  const found = rows.map(({ at, verdict, text }) => ({ at: at.toISOString(), verdict, text }))
  return told(found, 'the index of recordings')
}

/** What was said to requests of the same shape, of any agent. */
export async function shapeHistory(
  { db }: Store,
  { id, connection, database, shape }: HoldAsked,
  why: string,
): Promise<Told<ShapeHistory>> {
  if (shape === undefined) return unknown(`it has no shape: ${why}`)
  const { rows } = await sql<{ state: string; names: string[] }>`
    select a.state, array(
      select n.approver ->> 'name' from approval_answer n where n.approval_id = a.id) as names
    from approval a
    where a.asked ->> 'shape' = ${shape} and a.connection = ${connection} and a.id <> ${id}
      and a.asked ->> 'database' = ${database} and a.state in ('approved', 'used', 'denied')
      and a.asked_at > now() - make_interval(days => ${shapeDays}::integer)
    order by a.asked_at desc limit 1000`.execute(db)
  const denied = rows.filter(({ state }) => state === 'denied').length
  const by = [...new Set(rows.flatMap(({ names }) => names))]
  return told({ days: shapeDays, approved: rows.length - denied, denied, by }, 'answers on record')
}
