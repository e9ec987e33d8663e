import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AgentId, Principal } from '@sallyport/core'
import fc from 'fast-check'
import type { Whom } from './signal.ts'
import { isMeant, keysOfLogin, keysOfWhom, sessionKey } from './subjects.ts'

const issuer = fc.constantFrom('https://one.example.com', 'https://two.example.com', 'urn:three')
const subject = fc.constantFrom('u1', 'u2', 'auth0|u1', 'Dana@example.com')
const name = fc.constantFrom('dana@example.com', 'Dana@Example.com', 'u1', 'root')
const session = fc.constantFrom('s1', 's2')
const kind = fc.constantFrom('oidc', 'saml')
const personId = fc.tuple(kind, issuer, subject).map(([k, i, s]) => `${k}:${i}|${s}`)

const login = fc.record({ id: personId, name, session: fc.option(session, { nil: undefined }) })
const whom: fc.Arbitrary<Whom> = fc.oneof(
  personId.map((id): Whom => ({ kind: 'person', id })),
  fc.record({
    kind: fc.constant('named' as const),
    issuer,
    subjects: fc.array(subject, { maxLength: 2 }),
    names: fc.array(name, { maxLength: 2 }),
  }),
  fc
    .tuple(issuer, session, fc.option(subject, { nil: undefined }))
    .map(([at, id, person]): Whom => ({
      kind: 'session',
      issuer: at,
      session: id,
      ...(person === undefined ? {} : { person: `oidc:${at}|${person}` }),
    })),
)

test('whoever is reached when logged in is refused while logging in, and nobody else is', () => {
  let meant = 0
  fc.assert(
    fc.property(login, whom, (who, subjectOfSignal) => {
      const principal: Principal = { id: who.id, kind: 'human', name: who.name, groups: [] }
      const id = 'a_1' as AgentId
      const at = who.id.slice(who.id.indexOf(':') + 1, who.id.indexOf('|'))
      const known = who.session === undefined ? [] : [[id, sessionKey(at, who.session)] as const]
      const isReached = isMeant({ id, principal }, subjectOfSignal, new Map(known))
      const keys = new Set(keysOfLogin(principal, who.session))
      const isRefused = keysOfWhom(subjectOfSignal).some((key) => keys.has(key))
      if (isReached) meant += 1
      assert.equal(isRefused, isReached)
    }),
    { numRuns: 5000 },
  )
  assert.ok(meant > 200, `${meant} of the cases were about the person`)
})
