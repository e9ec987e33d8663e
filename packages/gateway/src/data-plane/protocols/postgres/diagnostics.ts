import type { DiagnosticFields } from '@sallyport/wire'
import type { Awaited } from './awaited.ts'

/** Fields of an error that never hold a value of a row: severity, code, position and the names of objects (section 54.8). */
const fieldsWithoutValues = ['S', 'V', 'C', 'P', 's', 't', 'c', 'd', 'n'] as const

/**
 * SQLSTATE classes whose texts speak of the statement, the session or the server, and not of rows:
 * 08 connection, 0A not supported, 25 transaction state, 26 statement name, 34 cursor name, 3B savepoint, 3D and 3F names,
 * 40 rollback, 42 syntax or access, 53 resources, 55 object state, 57 operator intervention.
 */
const classesWithoutValues = new Set([
  '08',
  '0A',
  '25',
  '26',
  '34',
  '3B',
  '3D',
  '3F',
  '40',
  '42',
  '53',
  '55',
  '57',
])

/** Those that speak of the session and the server alone, whatever the statement computes. */
const classesOfServer = new Set(['08', '25', '40', '53', '57'])

const withheldWords = 'Sallyport withholds the text: this statement can read masked columns'

/** What constraint was violated, in words of the gateway's own, without the row that did. */
function constraintText(sqlState: string, fields: DiagnosticFields): string | undefined {
  const name = fields.get('n')
  const what = violations.get(sqlState)
  if (name === undefined || what === undefined) return undefined
  return `violates ${what} "${name}"; Sallyport withholds the values`
}

const violations = new Map([
  ['23505', 'unique constraint'],
  ['23503', 'foreign key constraint'],
  ['23514', 'check constraint'],
  ['23P01', 'exclusion constraint'],
])

/** Whose text it is, and what its session has met. */
interface TextSource {
  /** What was owed when it came; undefined where nothing was. */
  readonly front: Awaited | undefined
  readonly hasMetMasked: boolean
  readonly touches: (front: Awaited) => boolean
}

/** Deferred constraints and triggers of a whole transaction are checked by these. */
const lateTags: ReadonlySet<string> = new Set(['TransactionStmt', 'ConstraintsSetStmt'])

/** What of a text of the server's may reach the caller; undefined where all of it may. It may quote any value that its statement can read. */
export function withheldText(
  fields: DiagnosticFields,
  { front, hasMetMasked, touches }: TextSource,
): Map<string, string> | undefined {
  if (front?.answer === undefined)
    return hasMetMasked ? withheldDiagnostic(fields, false) : undefined
  const isLate = front.classified?.statements.some(({ nodeTag }) => lateTags.has(nodeTag)) === true
  if (!touches(front) && !(isLate && hasMetMasked)) return undefined
  return withheldDiagnostic(fields, front.followed?.mayQuote !== false)
}

/** The fields of a diagnostic that may reach a caller for whom masks apply; undefined where all of them may. */
function withheldDiagnostic(
  fields: DiagnosticFields,
  mayQuote: boolean,
): Map<string, string> | undefined {
  const sqlState = fields.get('C') ?? ''
  const sqlClass = sqlState.slice(0, 2)
  // A value that is read as a name stands in the text of an unknown one: `email::regclass`.
  const isSafe = mayQuote ? classesOfServer.has(sqlClass) : classesWithoutValues.has(sqlClass)
  if (isSafe) return undefined
  const kept = new Map<string, string>()
  for (const field of fieldsWithoutValues) {
    const value = fields.get(field)
    if (value !== undefined) kept.set(field, value)
  }
  kept.set('M', `SQLSTATE ${sqlState} (${constraintText(sqlState, fields) ?? withheldWords})`)
  return kept
}
