import type { AgentId, Principal } from '@sallyport/core'
import { partsOfPerson } from '../births/entitlements.ts'
import type { Whom } from './signal.ts'

/** The key of a provider's session: two providers may use the same text. */
export function sessionKey(issuer: string, session: string): string {
  return `session:${issuer}|${session}`
}

/** The key of a name that a provider gives to a person. */
export function nameKey(issuer: string, name: string): string {
  return `name:${issuer}|${name.toLowerCase()}`
}

/** The key of a person's logins whose session nobody knows: a report on any session may mean them. */
function aloneKey(person: string): string {
  return `alone:${person}`
}

/** All keys under which a login may have been taken back. */
export function keysOfLogin(principal: Principal, session: string | undefined): string[] {
  const { issuer } = partsOfPerson(principal.id)
  const keys = [principal.id, nameKey(issuer, principal.name)]
  return [...keys, session === undefined ? aloneKey(principal.id) : sessionKey(issuer, session)]
}

/** The keys that a signal takes back. A subject may stand for a login by OpenID Connect or by SAML. */
export function keysOfWhom(whom: Whom): string[] {
  switch (whom.kind) {
    case 'person':
      return [whom.id]
    case 'session':
      return [
        sessionKey(whom.issuer, whom.session),
        ...(whom.person === undefined ? [] : [aloneKey(whom.person)]),
      ]
    case 'named':
      return [
        ...whom.subjects.flatMap((subject) =>
          ['oidc', 'saml'].map((kind) => `${kind}:${whom.issuer}|${subject}`),
        ),
        ...whom.names.map((name) => nameKey(whom.issuer, name)),
      ]
  }
}

/** Whether a root is meant. `sessions` are those of the roots that are known to stand on one. */
export function isMeant(
  { id, principal }: { readonly id: AgentId; readonly principal: Principal },
  whom: Whom,
  sessions: ReadonlyMap<string, string>,
): boolean {
  if (whom.kind === 'session') {
    const session = sessions.get(id)
    if (session === undefined) return whom.person === principal.id
    return session === sessionKey(whom.issuer, whom.session)
  }
  if (whom.kind === 'person') return principal.id === whom.id
  if (principal.kind !== 'human') return false
  const { issuer, subject } = partsOfPerson(principal.id)
  if (issuer !== whom.issuer) return false
  return (
    whom.subjects.includes(subject) ||
    whom.names.some((name) => name.toLowerCase() === principal.name.toLowerCase())
  )
}
