/** Rows of the corpus that do not come out right yet, by family. Each run prints them; one that comes out right must leave the list. */
const rows: Readonly<Record<string, readonly string[]>> = {
  session: ['a search path that is rolled back'],
  'whole-row': ['a row from a join'],
}

export const expectedFailures: ReadonlySet<string> = new Set(
  Object.entries(rows).flatMap(([family, names]) => names.map((name) => `${family}/${name}`)),
)
