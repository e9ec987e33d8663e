import { LoginRefused } from '../oidc/identity.ts'

/** What an assertion has to say to be the answer to a request. */
export interface AssertionCheck {
  /** Of the provider. */
  readonly issuer: string
  readonly entityId: string
  readonly acsUrl: string
  readonly requestId: string
  readonly nowMs: number
  readonly skewMs: number
}

/** Who logged in, as the provider signed it. */
export interface CheckedAssertion {
  readonly id: string
  readonly nameId: string
  readonly session?: string
  /** When the person logged in there, in milliseconds since the epoch; 0 where that is not said. */
  readonly authenticatedAtMs: number
  readonly attributes: ReadonlyMap<string, readonly string[]>
  /** Nobody needs to remember its id after this, in milliseconds since the epoch. */
  readonly endsAtMs: number
}

/** An element as the reader of XML gives it: attributes in `$`, text in `_`, children by their names without prefix. */
type Element = Readonly<Record<string, unknown>>

const bearer = 'urn:oasis:names:tc:SAML:2.0:cm:bearer'
const transient = 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient'
const textCharactersMax = 1024
/** Of what is part of keys in the store. */
const idCharactersMax = 512
const attributesMax = 200
const valuesMax = 2000

/**
 * Holds the signed assertion against the request (SAML Profiles, 4.1.4.3): all of it is looked at here, whatever the library
 * that verified the signature has looked at before.
 */
export function checkAssertion(document: unknown, check: AssertionCheck): CheckedAssertion {
  const assertion = only(document, 'Assertion')
  if (attribute(assertion, 'Version') !== '2.0') throw refused('its version is not 2.0')
  if (text(only(assertion, 'Issuer')) !== check.issuer) throw refused('it is of another provider')
  const subject = only(assertion, 'Subject')
  const confirmedUntilMs = checkConfirmation(subject, check)
  const conditionsUntilMs = checkConditions(only(assertion, 'Conditions'), check)
  const session = checkStatements(children(assertion, 'AuthnStatement'), check)
  const name = only(subject, 'NameID')
  // Such a name is another one at each login: no grant and no report could mean the person.
  if (attribute(name, 'Format') === transient) throw refused('its name for you is a transient one')
  return {
    id: plain(attribute(assertion, 'ID'), 'ID'),
    nameId: plain(text(name), 'NameID'),
    ...(session === undefined ? {} : { session }),
    authenticatedAtMs: authenticatedAt(children(assertion, 'AuthnStatement')),
    attributes: attributesOf(assertion),
    endsAtMs: Math.max(confirmedUntilMs, conditionsUntilMs) + check.skewMs,
  }
}

/** At least one confirmation is for whoever bears it, here, now, and in answer to the request. Until when. */
function checkConfirmation(subject: Element, check: AssertionCheck): number {
  const ends = children(subject, 'SubjectConfirmation').flatMap((confirmation) => {
    const [data, second] = children(confirmation, 'SubjectConfirmationData')
    if (attribute(confirmation, 'Method') !== bearer || data === undefined || second !== undefined)
      return []
    const endMs = instant(attribute(data, 'NotOnOrAfter'))
    const isRight =
      attribute(data, 'Recipient') === check.acsUrl &&
      attribute(data, 'InResponseTo') === check.requestId &&
      attribute(data, 'NotBefore') === undefined &&
      endMs !== undefined &&
      endMs > check.nowMs - check.skewMs
    return isRight ? [endMs] : []
  })
  if (ends.length === 0) throw refused('it is not the answer to this login')
  return Math.max(...ends)
}

function checkConditions(conditions: Element, check: AssertionCheck): number {
  const from = attribute(conditions, 'NotBefore')
  const fromMs = instant(from)
  if (from !== undefined && (fromMs === undefined || fromMs > check.nowMs + check.skewMs))
    throw refused('it is not valid yet')
  const end = attribute(conditions, 'NotOnOrAfter')
  const endMs = instant(end)
  if (end !== undefined && (endMs === undefined || endMs <= check.nowMs - check.skewMs))
    throw refused('it has expired')
  const restrictions = children(conditions, 'AudienceRestriction')
  const isForUs = (restriction: Element): boolean =>
    children(restriction, 'Audience').some((audience) => text(audience) === check.entityId)
  if (restrictions.length === 0 || !restrictions.every(isForUs))
    throw refused('it is for another application')
  return endMs ?? 0
}

/** Returns the session at the provider. */
function checkStatements(
  statements: readonly Element[],
  check: AssertionCheck,
): string | undefined {
  const [statement] = statements
  if (statement === undefined) throw refused('it does not say that somebody logged in')
  for (const each of statements) {
    const end = attribute(each, 'SessionNotOnOrAfter')
    const endMs = instant(end)
    if (end !== undefined && (endMs === undefined || endMs <= check.nowMs - check.skewMs))
      throw refused('the session at the provider is over')
  }
  const session = attribute(statement, 'SessionIndex')
  return session === undefined ? undefined : plain(session, 'SessionIndex')
}

/** The oldest of them: what is said twice is worth the less. */
function authenticatedAt(statements: readonly Element[]): number {
  return Math.min(...statements.map((each) => instant(attribute(each, 'AuthnInstant')) ?? 0))
}

function attributesOf(assertion: Element): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>()
  for (const statement of children(assertion, 'AttributeStatement')) {
    for (const each of children(statement, 'Attribute')) {
      const name = attribute(each, 'Name') ?? ''
      const values = found.get(name) ?? []
      for (const value of children(each, 'AttributeValue')) {
        const said = text(value)
        if (said !== '' && said.length <= textCharactersMax) values.push(said)
      }
      if (values.length > valuesMax) throw refused(`more than ${valuesMax} values of an attribute`)
      found.set(name, values)
      if (found.size > attributesMax) throw refused(`more than ${attributesMax} attributes`)
    }
  }
  return found
}

function children(element: unknown, name: string): readonly Element[] {
  const value = fieldOf(element, name)
  if (value === undefined) return []
  return (Array.isArray(value) ? value : [value]).map((child: unknown) =>
    // The reader gives an element without attributes and children as its text.
    typeof child === 'string' ? { _: child } : asElement(child),
  )
}

function only(element: unknown, name: string): Element {
  const [child, second] = children(element, name)
  if (child === undefined || second !== undefined) throw refused(`it has not exactly one ${name}`)
  return child
}

function text(element: Element): string {
  const value = fieldOf(element, '_')
  return typeof value === 'string' ? value.trim() : ''
}

function attribute(element: Element, name: string): string | undefined {
  const value = fieldOf(fieldOf(element, '$'), name)
  return typeof value === 'string' ? value : undefined
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Element)[name]
    : undefined
}

function asElement(value: unknown): Element {
  return typeof value === 'object' && value !== null ? (value as Element) : {}
}

/** SAML Core, 1.3.3: UTC only. */
function instant(value: string | undefined): number | undefined {
  if (value === undefined || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/u.test(value))
    return undefined
  const ms = Date.parse(value)
  return Number.isNaN(ms) ? undefined : ms
}

function plain(value: string | undefined, name: string): string {
  const isPlain =
    value !== undefined &&
    value !== '' &&
    value.length <= idCharactersMax &&
    value.isWellFormed() &&
    !/\p{Cc}/u.test(value)
  if (!isPlain) throw refused(`its ${name} is no text of use`)
  return value
}

function refused(why: string): LoginRefused {
  return new LoginRefused(`the provider's answer is not accepted: ${why}`)
}
