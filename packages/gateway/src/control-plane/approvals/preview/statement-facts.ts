import type { HoldAsked } from '../../../boundary/approvals.ts'
import { told, unknown, type Told } from './preview.ts'

const manual = 'PostgreSQL manual, section 13.3'
const rows = 'ROW EXCLUSIVE on the table, and the rows it changes until its transaction ends'
const whole = 'ACCESS EXCLUSIVE: nobody else reads or writes the table until its transaction ends'

/** The strongest lock of each verb. What takes different ones by its form is not in the list. */
const locks: Readonly<Record<string, string>> = {
  select: 'ACCESS SHARE, or ROW SHARE and the rows with FOR UPDATE',
  insert: rows,
  update: rows,
  delete: rows,
  merge: rows,
  truncate: whole,
  drop: whole,
}

export function locksOf({ verb, opaque }: HoldAsked): Told<string> {
  const known = locks[verb]
  if (known === undefined) return unknown(`what ${verb.toUpperCase()} locks depends on its form`)
  if (opaque.length > 0) return unknown('what it sets off is not known')
  return told(known, manual)
}

/** What leaves the database, or what no transaction covers, stays done. */
export function undoOf(asked: HoldAsked): Told<string> {
  const { verb, opaque, inTransaction } = asked
  if (opaque.length > 0) return unknown(`what it does is not known: ${opaque.join(', ')}`)
  if (!undoable.has(verb)) return unknown(`whether ${verb.toUpperCase()} can be undone`)
  if (asked.class === 'read') return told('nothing to undo: it only reads', 'its statement')
  const until = inTransaction
    ? 'by ROLLBACK until its transaction commits; not after'
    : 'not: it commits by itself'
  return told(until, 'its transaction')
}

const undoable: ReadonlySet<string> = new Set([
  'select',
  'insert',
  'update',
  'delete',
  'merge',
  'truncate',
])
