import type { DiagnosticFields } from '@sallyport/wire'

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

/** The fields of a diagnostic that may reach a caller for whom masks apply; undefined where all of them may. */
export function withheldDiagnostic(fields: DiagnosticFields): Map<string, string> | undefined {
  const sqlState = fields.get('C') ?? ''
  if (classesWithoutValues.has(sqlState.slice(0, 2))) return undefined
  const kept = new Map<string, string>()
  for (const field of fieldsWithoutValues) {
    const value = fields.get(field)
    if (value !== undefined) kept.set(field, value)
  }
  kept.set(
    'M',
    `SQLSTATE ${sqlState} (Sallyport withholds the text: this statement can read masked columns)`,
  )
  return kept
}
