import { ScimError } from './scim-error.ts'
import { shortName } from './scim-values.ts'

/** `attribute eq value`. */
export interface Equality {
  readonly attribute: string
  readonly value: string | boolean
}

const filterCharactersMax = 2000
const term = /\s*([\w.:$-]+)\s+eq\s+("(?:[^"\\]|\\.)*"|true|false)\s*/iuy
const conjunction = /and\s/iuy

/** Reads a filter (RFC 7644, section 3.4.2.2) of equalities that all have to hold: what directories look for before they write. */
export function readFilter(text: string | undefined): readonly Equality[] {
  if (text === undefined || text.trim() === '') return []
  const refuse = (): ScimError =>
    new ScimError(400, 'only attribute eq "value" is available, joined by and', 'invalidFilter')
  if (text.length > filterCharactersMax) throw refuse()
  const equalities: Equality[] = []
  let at = 0
  for (;;) {
    term.lastIndex = at
    const found = term.exec(text)
    if (found === null) throw refuse()
    equalities.push({
      attribute: shortName(found[1] ?? ''),
      value: valueOf(found[2] ?? '', refuse),
    })
    at = term.lastIndex
    if (at === text.length) return equalities
    conjunction.lastIndex = at
    if (!conjunction.test(text)) throw refuse()
    at = conjunction.lastIndex
  }
}

function valueOf(text: string, refuse: () => ScimError): string | boolean {
  if (!text.startsWith('"')) return text.toLowerCase() === 'true'
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'string' && value.isWellFormed() && !value.includes('\0')) return value
  } catch {
    // Told below.
  }
  throw refuse()
}
