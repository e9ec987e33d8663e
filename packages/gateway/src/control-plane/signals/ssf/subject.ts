import { plainText } from '../plain-text.ts'
import type { Whom } from '../signal.ts'
import { SignalRefused } from '../verify-set.ts'

const aliasesMax = 20

type Fields = Readonly<Record<string, unknown>>

/** How the subjects of a transmitter are read. */
export interface SubjectNames {
  /** Of the provider: what the ids of people begin with. */
  readonly issuer: string
  /** What `iss` of a subject may say to mean that provider. */
  readonly issuers: readonly string[]
  readonly personId: (subject: string) => string
}

/**
 * Reads a subject (RFC 9493, and section 3 of the Shared Signals Framework 1.0). Nobody where it is of another issuer, or of a
 * kind that no login has.
 */
export function readSubject(value: unknown, names: SubjectNames): readonly Whom[] {
  const subject = fieldsOf(value, 'the subject')
  const format = formatOf(subject)
  // Before its last drafts CAEP had complex subjects without a format.
  if (format === 'complex' || (format === '' && ('user' in subject || 'session' in subject)))
    return readComplex(subject, names)
  if (format === 'aliases') {
    const identifiers = subject['identifiers']
    if (!Array.isArray(identifiers) || identifiers.length > aliasesMax)
      throw new SignalRefused('the aliases are no list of use')
    return identifiers.flatMap((each) => readSubject(each, names))
  }
  return readSimple(subject, format, names)
}

function readSimple(subject: Fields, format: string, names: SubjectNames): readonly Whom[] {
  const { issuer, issuers, personId } = names
  const named = (people: { subjects?: string[]; names?: string[] }): readonly Whom[] => [
    { kind: 'named', issuer, subjects: people.subjects ?? [], names: people.names ?? [] },
  ]
  if (format === 'iss_sub') {
    const isOurs = issuers.some((each) => sameIssuer(each, textOf(subject, 'iss')))
    return isOurs ? [{ kind: 'person', id: personId(textOf(subject, 'sub')) }] : []
  }
  if (format === 'opaque') return named({ subjects: [textOf(subject, 'id')] })
  if (format === 'email') return named({ names: [textOf(subject, 'email')] })
  if (format === 'account') return named({ names: [textOf(subject, 'uri').replace(/^acct:/u, '')] })
  return []
}

/** A session and its user: the session alone, where the user is known by the id that logins have. */
function readComplex(subject: Fields, names: SubjectNames): readonly Whom[] {
  const user = subject['user'] === undefined ? [] : readSubject(subject['user'], names)
  const session = sessionOf(subject['session'])
  if (session === undefined) return user
  const [person, second] = user
  if (person === undefined && subject['user'] === undefined)
    return [{ kind: 'session', issuer: names.issuer, session }]
  if (person?.kind !== 'person' || second !== undefined) return user
  return [{ kind: 'session', issuer: names.issuer, session, person: person.id }]
}

/** A session of another form than the `sid` of logins is none that could be found: then the user counts. */
function sessionOf(value: unknown): string | undefined {
  if (value === undefined) return undefined
  const session = fieldsOf(value, 'the session')
  return formatOf(session) === 'opaque' ? textOf(session, 'id') : undefined
}

/** `subject_type: iss-sub` in drafts and at Google. */
function formatOf(subject: Fields): string {
  const format = subject['format'] ?? subject['subject_type'] ?? ''
  return typeof format === 'string' ? format.toLowerCase().replaceAll('-', '_') : ''
}

/** Google signs with a slash at the end of its name, and without it. */
function sameIssuer(left: string, right: string): boolean {
  return left.replace(/\/$/u, '') === right.replace(/\/$/u, '')
}

function textOf(fields: Fields, name: string): string {
  const text = plainText(Object.hasOwn(fields, name) ? fields[name] : undefined)
  if (text !== undefined) return text
  throw new SignalRefused(`${name} of the subject is no text of use`)
}

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw new SignalRefused(`${what} is not an object`)
}
