import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { printProblems } from '../../../policies/config-problem.ts'
import { goesTo } from '../routes.ts'
import { readChannelFiles } from './load-channels-folder.ts'

process.env['TEST_CHANNEL_SECRET'] = 'x'.repeat(32)
process.env['TEST_CHANNEL_OTHER'] = 'y'.repeat(32)
process.env['TEST_CHANNEL_SHORT'] = 'x'.repeat(31)

function doc(spec: string, name = 'dba'): string {
  return `apiVersion: sallyport.dev/v1\nkind: Channel\nmetadata: {name: ${name}}\nspec: ${spec}\n`
}

function read(...texts: string[]): ReturnType<typeof readChannelFiles> {
  return readChannelFiles(texts.map((text, n) => ({ file: `channels/${n}.yaml`, text })))
}

function problemsOf(...texts: string[]): string {
  const found = read(...texts)
  return found.kind === 'ok' ? '' : printProblems(found.problems)
}

const webhook =
  'type: webhook, url: "https://bot.example.com/in", secret: {from: "env:TEST_CHANNEL_SECRET"}'

const slack = 'type: slack, channel: C0123, botToken: {from: "env:TEST_CHANNEL_SECRET"}'
const email = 'type: email, host: mail.example.com, from: gw@example.com, to: [dba@example.com]'

suite('the files of channels', () => {
  test('are read with their defaults', () => {
    const found = read(doc(`{${webhook}}`))
    assert.ok(found.kind === 'ok')
    const dba = found.config.get('dba')
    assert.deepEqual(dba?.routes, [])
    assert.deepEqual(dba.events, ['requested', 'decided', 'expired', 'withdrawn'])
  })

  test('take every option', () => {
    const more =
      'authorization: {from: "env:TEST_CHANNEL_SHORT"}, events: [approval.expired, approval.requested], routes: [{rules: ["prod/*"], connections: [orders-db], groups: [dba]}]'
    const callback =
      'callback: {provider: idp, secret: {from: "env:TEST_CHANNEL_OTHER"}, loginWithin: 8h}'
    const found = read(doc(`{${webhook}, ${more}, ${callback}}`))
    assert.ok(found.kind === 'ok')
    const dba = found.config.get('dba')
    assert.ok(dba?.type === 'webhook')
    assert.equal(dba.authorization?.expose(), 'x'.repeat(31))
    assert.deepEqual(
      [dba.callback?.provider, dba.callback?.secret.expose(), dba.callback?.loginWithinMs],
      ['idp', 'y'.repeat(32), 8 * 3_600_000],
    )
    assert.deepEqual(dba.events, ['requested', 'expired'])
    assert.deepEqual(dba.routes, [
      { rules: ['prod/*'], connections: ['orders-db'], groups: ['dba'] },
    ])
  })

  test('of mail are read with their defaults, and take every option', () => {
    const secret = '{from: "env:TEST_CHANNEL_SECRET"}'
    const more = `port: 2525, tls: tls, ca: ${secret}, user: gate, password: ${secret}`
    const found = read(doc(`{${email}}`), doc(`{${email}, ${more}}`, 'more'))
    assert.ok(found.kind === 'ok')
    const [plain, full] = [...found.config.values()]
    assert.ok(plain?.type === 'email' && full?.type === 'email')
    assert.deepEqual([plain.port, plain.tls, plain.login], [587, 'starttls', undefined])
    assert.deepEqual([full.port, full.tls, full.login?.user], [2525, 'tls', 'gate'])
    assert.equal(full.ca?.expose(), 'x'.repeat(32))
  })

  test('of Slack are read with their defaults, and take every option', () => {
    process.env['TEST_CHANNEL_APP'] = 'xapp-1'
    const more =
      'appToken: {from: "env:TEST_CHANNEL_APP"}, api: "https://slack.example.com/api", loginWithin: 8h'
    const found = read(doc(`{${slack}}`), doc(`{${slack}, ${more}}`, 'more'))
    assert.ok(found.kind === 'ok')
    const [plain, full] = [...found.config.values()]
    assert.ok(plain?.type === 'slack' && full?.type === 'slack')
    assert.deepEqual([plain.api, plain.appToken], ['https://slack.com/api/', undefined])
    assert.equal(plain.loginWithinMs, 24 * 3_600_000)
    assert.deepEqual(
      [full.api, full.appToken?.expose(), full.loginWithinMs],
      ['https://slack.example.com/api/', 'xapp-1', 8 * 3_600_000],
    )
  })

  test('say where they are wrong, and nothing of them is used', () => {
    const wrong: [string, RegExp][] = [
      [doc('{type: webhok}'), /did you mean "webhook"/u],
      [doc('{type: webhook}'), /missing field "url"[^]*missing field "secret"/u],
      [
        doc('{type: webhook, url: "https://x", secret: plain}'),
        /a secret must be a reference, not a value[^]*\^/u,
      ],
      [
        doc('{type: webhook, url: "https://x", secret: {from: "env:TEST_CHANNEL_SHORT"}}'),
        /a secret has at least 32 characters/u,
      ],
      [doc(`{${webhook.replace('https:', 'http:')}}`), /only https is taken, except on loopback/u],
      [doc('{type: slack}'), /missing field "botToken"[^]*"channel"/u],
      [doc(`{${slack}, appToken: {from: "env:TEST_CHANNEL_OTHER"}}`), /begins with xapp-/u],
      [doc(`{${slack.replace('C0123', 'general')}}`), /"general" is not the id of a channel/u],
      [doc(`{${slack}, api: "http://slack.example.com/api"}`), /only https is taken/u],
      [doc('{type: email}'), /missing field "host"[^]*"from"[^]*"to"/u],
      [doc(`{${email}, to: []}`.replace('to: [dba@example.com], ', '')), /it would reach nobody/u],
      [doc(`{${email}, tls: off}`), /mail leaves this machine with TLS only/u],
      [doc(`{${email}, user: gate}`), /user and password go together/u],
      [doc(`{${email.replace('dba@', 'DBA <dba@')}}`), /"DBA <dba@example.com" is not an address/u],
      [doc(`{${email}, url: "https://x"}`), /unknown field "url"/u],
      [doc(`{${webhook}, events: []}`), /it would be told nothing/u],
      [doc(`{${webhook}, events: [approval.request]}`), /did you mean "approval.requested"/u],
      [doc(`{${webhook}, routes: []}`), /nothing would go here/u],
      [doc(`{${webhook}, routes: [{}]}`), /a route names rules, connections or groups/u],
      [doc(`{${webhook}, routes: [{groups: []}]}`), /groups names nothing/u],
      [doc(`{${webhook}, routes: [{group: [dba]}]}`), /did you mean "groups"/u],
      [doc(`{${webhook}, callback: {}}`), /missing field "provider"[^]*missing field "secret"/u],
      [
        doc(`{${webhook}, callback: {provider: idp, secret: {from: "env:TEST_CHANNEL_SECRET"}}}`),
        /answers are signed with another secret than events/u,
      ],
      [
        doc(
          `{${webhook}, callback: {provider: idp, secret: {from: "env:TEST_CHANNEL_OTHER"}, loginWithin: 31d}}`,
        ),
        /at most 43200m are possible/u,
      ],
      [doc(`{${webhook}}`).replace('Channel', 'Export'), /"Export" is not one of Channel/u],
    ]
    for (const [text, says] of wrong) {
      assert.match(problemsOf(text), says)
      assert.match(problemsOf(text), /channels\/0\.yaml/u)
    }
    assert.match(problemsOf(doc(`{${webhook}}`), doc(`{${webhook}}`)), /another channel "dba"/u)
    const many = Array.from({ length: 17 }, (_, n) => doc(`{${webhook}}`, `c${n}`))
    assert.match(problemsOf(...many), /at most 16 channels are taken/u)
  })
})

suite('a route', () => {
  const demand = (rule: string, ...from: string[]) => ({
    rule,
    from,
    message: '',
    count: 1,
    selfRoot: 'deny' as const,
    offer: ['once'],
  })
  const view = {
    connection: 'orders-db',
    demands: [demand('prod/writes', 'group:dba', 'owner'), demand('pii/reads', 'group:privacy')],
  }

  test('takes what matches each of its lists, and a channel what any of its routes takes', () => {
    const taken = [
      [],
      [{ rules: ['prod/*'] }],
      [{ groups: ['privacy'] }],
      [{ connections: ['orders-*'], groups: ['dba'], rules: ['prod/writes'] }],
      [{ connections: ['other'] }, { groups: ['dba'] }],
    ]
    const left = [
      [{ rules: ['test/*'] }],
      [{ groups: ['sre'] }],
      [{ groups: ['owner'] }],
      [{ connections: ['orders'] }],
      [{ connections: ['other'], groups: ['dba'] }],
      // Another rule's group.
      [{ rules: ['prod/*'], groups: ['privacy'] }],
    ]
    for (const routes of taken) assert.ok(goesTo({ routes }, view), JSON.stringify(routes))
    for (const routes of left) assert.ok(!goesTo({ routes }, view), JSON.stringify(routes))
  })
})
