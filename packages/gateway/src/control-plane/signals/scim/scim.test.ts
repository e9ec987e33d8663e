import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { onBothStores } from '../../agents/agents.fixture.ts'
import { SignalBench, person, type Root } from '../signal-bench.fixture.ts'

const token = 'scim-token-of-the-test-0123456789abcdef'
process.env['SIGNALS_TEST_SCIM'] = token
const withScim = '{scim: {token: {from: "env:SIGNALS_TEST_SCIM"}}}'
const userSchema = 'urn:ietf:params:scim:schemas:core:2.0:User'
const groupSchema = 'urn:ietf:params:scim:schemas:core:2.0:Group'
const patchSchema = 'urn:ietf:params:scim:api:messages:2.0:PatchOp'

type Json = Record<string, unknown>

onBothStores('scim', (bench) => {
  let signals: SignalBench
  before(async () => {
    signals = new SignalBench(bench)
    await signals.open(withScim)
  })
  after(async () => {
    await signals.close()
    assert.deepEqual(signals.faults, [])
  })

  async function ask(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ status: number; body: Json; headers: Headers }> {
    const answer = await fetch(`${signals.url}/scim/v2${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/scim+json',
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await answer.text()
    return {
      status: answer.status,
      body: text === '' ? {} : (JSON.parse(text) as Json),
      headers: answer.headers,
    }
  }

  /** As Okta creates somebody. */
  async function provision(subject: string, more: Json = {}): Promise<string> {
    const { status, body } = await ask('POST', '/Users', {
      schemas: [userSchema],
      userName: `${subject}@example.com`,
      name: { givenName: 'Dana', familyName: 'Doe' },
      emails: [{ primary: true, value: `${subject}@example.com`, type: 'work' }],
      displayName: 'Dana Doe',
      locale: 'en-US',
      externalId: subject,
      groups: [],
      password: '1mz050nq',
      active: true,
      ...more,
    })
    assert.equal(status, 201, JSON.stringify(body))
    return String(body['id'])
  }

  async function makeGroup(displayName: string, ids: readonly string[]): Promise<string> {
    const members = ids.map((value) => ({ value }))
    const { status, body } = await ask('POST', '/Groups', {
      schemas: [groupSchema],
      displayName,
      members,
    })
    assert.equal(status, 201, JSON.stringify(body))
    return String(body['id'])
  }

  const patch = (path: string, ...operations: Json[]): ReturnType<typeof ask> =>
    ask('PATCH', path, { schemas: [patchSchema], Operations: operations })
  const mayWrite = (root: Root): boolean =>
    JSON.stringify(
      bench.service.changesSince(0).agents.find(({ id }) => id === root.id)?.layers,
    ).includes('"write"')

  const deactivations: readonly (readonly [string, Json])[] = [
    ['as Okta says it', { op: 'replace', value: { active: false } }],
    ['as Entra says it', { op: 'Replace', path: 'active', value: 'False' }],
    ['with the whole name', { op: 'replace', path: `${userSchema}:active`, value: false }],
    ['in another case', { op: 'REPLACE', path: 'Active', value: 'FALSE' }],
    ['by adding it', { op: 'add', path: 'active', value: false }],
    ['by removing it', { op: 'remove', path: 'active' }],
    ['among others', { op: 'Replace', value: { 'name.givenName': 'D', active: 'False' } }],
  ]
  for (const [what, operation] of deactivations) {
    test(`a deactivation ${what} ends the trees of the person, and no login makes another`, async () => {
      const subject = `u-off-${what.replaceAll(' ', '-')}`
      const id = await provision(subject)
      const root = await signals.logIn(subject)
      const child = await bench.child(root.id, 'scout')
      const other = await signals.logIn('u-somebody')
      const { status, body } = await patch(`/Users/${id}`, operation)
      assert.equal(status, 200)
      assert.equal(body['active'], false)
      assert.equal(signals.stateOf(root), 'revoked')
      assert.equal(signals.stateOf(child.agent), 'revoked')
      assert.equal(signals.stateOf(other), 'active')
      const login = await signals.redeem(await signals.begin(subject, person(subject)))
      assert.equal(login.body['code'], 'SP_LOGIN_WITHDRAWN')
      assert.equal(
        (await patch(`/Users/${id}`, { op: 'replace', value: { active: true } })).status,
        200,
      )
      await signals.logIn(subject)
    })
  }

  test('a PUT that says inactive, and a DELETE, end the trees too', async () => {
    const id = await provision('u-put')
    const root = await signals.logIn('u-put')
    const put = { schemas: [userSchema], userName: 'u-put@example.com', active: 'false' }
    assert.equal((await ask('PUT', `/Users/${id}`, put)).status, 200)
    assert.equal(signals.stateOf(root), 'revoked')
    const gone = await provision('u-del')
    const second = await signals.logIn('u-del')
    const pending = await signals.begin('u-del', person('u-del'))
    assert.equal((await ask('DELETE', `/Users/${gone}`)).status, 204)
    assert.equal(signals.stateOf(second), 'revoked')
    assert.equal((await signals.redeem(pending)).body['code'], 'SP_LOGIN_WITHDRAWN')
    assert.equal((await ask('GET', `/Users/${gone}`)).status, 404)
    assert.equal((await ask('DELETE', `/Users/${gone}`)).status, 404)
  })

  test('somebody is found by the id of the provider when all names differ, and by a name in any case', async () => {
    const byId = await provision('u-id', { userName: 'x1', emails: [] })
    const byName = await provision('u-x2', {
      userName: 'U-NAME@Example.com',
      emails: [],
      externalId: 'x2',
    })
    const byMail = await provision('u-x3', {
      userName: 'x3',
      externalId: 'x3',
      emails: [{ value: 'U-mail@example.com' }],
    })
    const roots = [
      await signals.logIn('u-id'),
      await signals.logIn('u-name'),
      await signals.logIn('u-mail'),
    ]
    for (const id of [byId, byName, byMail])
      await patch(`/Users/${id}`, { op: 'replace', path: 'active', value: false })
    assert.deepEqual(
      roots.map((root) => signals.stateOf(root)),
      ['revoked', 'revoked', 'revoked'],
    )
  })

  const removals: readonly (readonly [string, (user: string) => Json])[] = [
    ['by Okta', (user) => ({ op: 'remove', path: `members[value eq "${user}"]` })],
    ['by Entra', (user) => ({ op: 'Remove', path: 'members', value: [{ value: user }] })],
    ['with all others', () => ({ op: 'remove', path: 'members' })],
    ['by a list without it', () => ({ op: 'replace', path: 'members', value: [] })],
    ['by a list without a path', () => ({ op: 'replace', value: { members: [] } })],
  ]
  for (const [what, operation] of removals) {
    test(`who is taken out of a group ${what} loses what it allowed, at once and at the next login`, async () => {
      const subject = `u-group-${what.replaceAll(' ', '-')}`
      const user = await provision(subject)
      const stays = await provision(`${subject}-stays`)
      const group = await makeGroup('dev', [user, stays])
      const root = await signals.logIn(subject)
      const colleague = await signals.logIn(`${subject}-stays`)
      assert.ok(mayWrite(root))
      const { status } = await patch(`/Groups/${group}`, operation(user))
      assert.equal(status, 200)
      assert.deepEqual(signals.groupsOf(root), [])
      assert.ok(!mayWrite(root))
      assert.equal(signals.stateOf(root), 'active')
      const isAlone = what === 'by Okta' || what === 'by Entra'
      assert.equal(mayWrite(colleague), isAlone)
      // The provider's token still names the group: the directory has taken it away.
      const again = await signals.logIn(subject)
      assert.deepEqual(signals.groupsOf(again), [])
      await patch(`/Groups/${group}`, { op: 'add', path: 'members', value: [{ value: user }] })
      assert.ok(mayWrite(await signals.logIn(subject)))
      await ask('DELETE', `/Groups/${group}`)
    })
  }

  test('a group that is deleted or renamed is lost by its members', async () => {
    const user = await provision('u-rename')
    const group = await makeGroup('dev', [user])
    const root = await signals.logIn('u-rename')
    await patch(`/Groups/${group}`, { op: 'replace', value: { id: group, displayName: 'dev-old' } })
    assert.deepEqual(signals.groupsOf(root), [])
    const second = await makeGroup('dev', [user])
    const later = await signals.logIn('u-rename')
    assert.ok(mayWrite(later))
    assert.equal((await ask('DELETE', `/Groups/${second}`)).status, 204)
    assert.ok(!mayWrite(later))
    await ask('DELETE', `/Groups/${group}`)
  })

  test('a loss in the middle of a birth reaches what is being born', async () => {
    const user = await provision('u-mid')
    const group = await makeGroup('dev', [user])
    signals.duringBirth = () => patch(`/Groups/${group}`, { op: 'remove', path: 'members' })
    const root = await signals.logIn('u-mid')
    assert.ok(!mayWrite(root))
    await ask('DELETE', `/Groups/${group}`)
  })

  test('being in a group here gives nothing that the provider does not state', async () => {
    const user = await provision('u-wish')
    const group = await makeGroup('oncall', [user])
    const root = await signals.logIn('u-wish', person('u-wish', []))
    assert.deepEqual(signals.groupsOf(root), [])
    await ask('DELETE', `/Groups/${group}`)
  })

  test('members follow any sequence of changes', async () => {
    const ids = await Promise.all([1, 2, 3, 4].map((n) => provision(`u-seq-${n}`)))
    const group = await makeGroup('seq', [])
    const some = fc.subarray(ids)
    const change = fc.oneof(
      some.map((list) => ({ op: 'add', list })),
      some.map((list) => ({ op: 'remove', list })),
      some.map((list) => ({ op: 'replace', list })),
    )
    const model = new Set<string>()
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        for (const { op, list } of changes) {
          if (op === 'replace') model.clear()
          for (const id of list)
            if (op === 'remove') model.delete(id)
            else model.add(id)
        }
        const operations = changes.map(({ op, list }) => ({
          op,
          path: 'members',
          value: list.map((value) => ({ value })),
        }))
        const { body } = await patch(`/Groups/${group}`, ...operations)
        const members = (body['members'] as readonly { value: string }[]).map(({ value }) => value)
        assert.deepEqual(new Set(members), model)
      }),
      { numRuns: 30 },
    )
  })

  test('users and groups are found as directories look for them', async () => {
    const id = await provision('u-find')
    const group = await makeGroup('finders', [id])
    const found = async (path: string): Promise<unknown[]> => {
      const { status, body } = await ask('GET', path)
      assert.equal(status, 200, JSON.stringify(body))
      return body['Resources'] as unknown[]
    }
    const by = (filter: string): string => `filter=${encodeURIComponent(filter)}`
    assert.equal((await found(`/Users?${by('userName eq "U-FIND@example.com"')}`)).length, 1)
    assert.equal(
      (await found(`/Users?${by('externalId eq "u-find" and active eq true')}`)).length,
      1,
    )
    assert.equal((await found(`/Users?${by('externalId eq "U-FIND"')}`)).length, 0)
    assert.equal(
      (await found(`/Users?${by('userName eq "a\\"b"')}&startIndex=1&count=100`)).length,
      0,
    )
    const [one] = (await found(
      `/Groups?excludedAttributes=members&${by('displayName eq "finders"')}`,
    )) as Json[]
    assert.equal(one?.['id'], group)
    assert.equal(one['members'], undefined)
    const member = by(`id eq "${group}" and members eq "${id}"`)
    assert.equal((await found(`/Groups?${member}`)).length, 1)
    const { body } = await ask('GET', '/Users?startIndex=2&count=1')
    assert.equal(body['startIndex'], 2)
    assert.equal(body['itemsPerPage'], 1)
    assert.ok(Number(body['totalResults']) > 2)
    assert.equal((await ask('GET', '/Users?count=0')).body['itemsPerPage'], 0)
  })

  test('the service says what it is', async () => {
    const config = await ask('GET', '/ServiceProviderConfig')
    assert.deepEqual(config.body['patch'], { supported: true })
    assert.equal(config.headers.get('content-type'), 'application/scim+json')
    assert.equal((await ask('GET', '/ResourceTypes')).body['totalResults'], 2)
    assert.equal((await ask('GET', `/Schemas/${userSchema}`)).body['name'], 'User')
  })

  const wrong: readonly (readonly [string, string, string, unknown, number, string?])[] = [
    [
      'a flag that is neither',
      'PATCH',
      '',
      { Operations: [{ op: 'replace', path: 'active', value: 'no' }] },
      400,
      'invalidValue',
    ],
    [
      'a flag that is null',
      'PATCH',
      '',
      { Operations: [{ op: 'replace', path: 'active', value: null }] },
      400,
      'invalidValue',
    ],
    ['no operations', 'PATCH', '', { Operations: [] }, 400, 'invalidSyntax'],
    [
      'an unknown operation',
      'PATCH',
      '',
      { Operations: [{ op: 'move', path: 'active', value: false }] },
      400,
      'invalidSyntax',
    ],
    ['a name that is taken', 'POST', '', { userName: 'U-WRONG@EXAMPLE.COM' }, 409, 'uniqueness'],
    ['no name', 'POST', '', { active: true }, 400, 'invalidValue'],
    ['a name with a zero byte', 'POST', '', { userName: 'a\0b' }, 400, 'invalidValue'],
    ['a name of half a character', 'POST', '', '{"userName":"\\ud800"}', 400, 'invalidValue'],
    ['a name of an object', 'POST', '', { userName: { toString: 'x' } }, 400, 'invalidValue'],
    [
      'one name in two spellings',
      'POST',
      '',
      { userName: 'a', active: true, Active: false },
      400,
      'invalidSyntax',
    ],
    ['no JSON', 'POST', '', '{', 400, 'invalidSyntax'],
    ['a list', 'POST', '', [], 400, 'invalidSyntax'],
    [
      'too many addresses',
      'POST',
      '',
      { userName: 'a', emails: Array.from({ length: 60 }, () => 'x') },
      400,
      'tooMany',
    ],
    [
      'a filter that is more than an equality',
      'GET',
      '?filter=userName%20sw%20%22a%22',
      undefined,
      400,
      'invalidFilter',
    ],
    [
      'a filter by what is not kept',
      'GET',
      '?filter=title%20eq%20%22a%22',
      undefined,
      400,
      'invalidFilter',
    ],
    [
      'a filter with a quotation',
      'GET',
      `?filter=${encodeURIComponent(`userName eq "a" or "1" eq "1"`)}`,
      undefined,
      400,
      'invalidFilter',
    ],
    ['a start that is no number', 'GET', '?startIndex=x', undefined, 400, 'invalidValue'],
  ]
  for (const [what, method, query, body, status, scimType] of wrong) {
    test(`${what} is refused in the words of SCIM, and changes nothing`, async () => {
      const list = await ask(
        'GET',
        `/Users?filter=${encodeURIComponent('userName eq "u-wrong@example.com"')}`,
      )
      const known = (list.body['Resources'] as readonly { id: string }[])[0]?.id
      const id = known ?? (await provision('u-wrong'))
      const path = method === 'PATCH' ? `/Users/${id}` : `/Users${query}`
      const answer = await ask(method, path, body)
      assert.equal(answer.status, status, JSON.stringify(answer.body))
      assert.equal(answer.body['scimType'], scimType)
      assert.equal(answer.body['status'], String(status))
      assert.equal((await ask('GET', `/Users/${id}`)).body['active'], true)
    })
  }

  test('without the token, with another, or as a form nothing is served', async () => {
    const id = await provision('u-auth')
    const root = await signals.logIn('u-auth')
    const off = { Operations: [{ op: 'replace', path: 'active', value: false }] }
    const tries: readonly Readonly<Record<string, string>>[] = [
      { authorization: '' },
      { authorization: 'Bearer ' },
      { authorization: `Bearer ${token}x` },
      { authorization: `Bearer ${root.handle}` },
      { authorization: `Basic ${token}` },
    ]
    for (const headers of tries) {
      const { status, headers: sent } = await ask('PATCH', `/Users/${id}`, off, headers)
      assert.equal(status, 401)
      assert.match(sent.get('www-authenticate') ?? '', /^Bearer/u)
    }
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    assert.equal((await ask('PATCH', `/Users/${id}`, off, form)).status, 400)
    for (const bad of ['%00', '..%2f..%2fUsers', "x' or '1'='1", 'a'.repeat(5000)])
      assert.equal((await ask('GET', `/Users/${bad}`)).status, 404, bad)
    const huge = JSON.stringify({ userName: 'x', title: 'x'.repeat(5_000_000) })
    assert.equal((await ask('POST', '/Users', huge)).status, 413)
    assert.equal(signals.stateOf(root), 'active')
  })

  test('what a directory sends answers with SCIM, whatever it is', async () => {
    const id = await provision('u-fuzz')
    const value = fc.jsonValue({ maxDepth: 3 })
    const operation = fc.record(
      {
        op: fc.constantFrom('add', 'Remove', 'replace'),
        path: fc.oneof(
          fc.constantFrom(
            'emails',
            'name',
            'name.givenName',
            'emails[type eq "work"].value',
            'displayName',
          ),
          fc.string(),
        ),
        value,
      },
      { requiredKeys: ['op'] },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 3 }), async (operations) => {
        const { status, body } = await patch(`/Users/${id}`, ...operations)
        assert.ok(status === 200 || status === 400, JSON.stringify(body))
        assert.equal((await ask('GET', `/Users/${id}`)).status, 200)
      }),
      { numRuns: 60 },
    )
  })

  test('a provider that was taken out of the configuration has no say any more', async () => {
    const id = await provision('u-conf')
    await patch(`/Users/${id}`, { op: 'replace', path: 'active', value: false })
    await signals.reopen('{}')
    assert.equal((await ask('GET', `/Users/${id}`)).status, 401)
    await signals.logIn('u-conf')
    await signals.reopen(withScim)
    const { body } = await signals.redeem(await signals.begin('u-conf', person('u-conf')))
    assert.equal(body['code'], 'SP_LOGIN_WITHDRAWN')
  })
})
