import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { until } from '@sallyport/testkit'
import { AskingWorld, person } from './asking-world.fixture.ts'
import { Channels } from './channels.ts'
import { TestReceiver } from './test-receiver.fixture.ts'

const secret = 'a secret of more than thirty-two characters'

interface SentEvent {
  readonly specversion: string
  readonly id: string
  readonly source: string
  readonly type: string
  readonly subject: string
  readonly data: { readonly count: number; readonly approvals: readonly { readonly id: string }[] }
}

suite('channels', { timeout: 60_000 }, () => {
  let world: AskingWorld
  let receiver: TestReceiver
  let dir: string
  const configs: string[] = []
  before(async () => {
    world = await AskingWorld.open()
    receiver = await TestReceiver.start()
    dir = join(world.dir, 'channels')
    await mkdir(dir)
    await writeFile(join(dir, 'secret'), secret)
  })
  after(async () => {
    await receiver[Symbol.asyncDispose]()
    await world[Symbol.asyncDispose]()
  })
  const write = async (more = '', url = receiver.url): Promise<void> =>
    await writeFile(
      join(dir, 'all.yaml'),
      `apiVersion: sallyport.dev/v1\nkind: Channel\nmetadata: {name: bot}\nspec: {type: webhook, url: "${url}", secret: {from: "file:secret"}${more}}\n`,
    )
  const open = async (): Promise<Channels> =>
    await Channels.open({
      dir,
      store: world.store,
      ledger: world.ledger,
      approvals: world.approvals,
      people: { approver: async () => await Promise.resolve({ why: 'nobody' }) },
      links: { code: () => '', principalOf: async () => await Promise.resolve(undefined) },
      gatewayUrl: () => 'https://gw.example.com',
      urlOf: (id) => `https://gw.example.com/a/${id}`,
      now: world.now,
      onConfig: (problems) => configs.push(problems),
      onFault: (error) => world.faults.push(error),
      retryMsFirst: 5,
    })
  const events = (): SentEvent[] => receiver.asked.map(({ body }) => JSON.parse(body) as SentEvent)
  const eventsOf = (id: string): SentEvent[] =>
    events().filter(({ data }) => (data.approvals ?? []).some((each) => each.id === id))

  test('a webhook gets CloudEvents in structured mode, signed over id, time and body', async () => {
    await write()
    const channels = await open()
    const { id } = await world.ask()
    await until('it is told', () => eventsOf(id).length === 1)
    const asked = receiver.asked.find(({ body }) => body.includes(id))
    assert.ok(asked !== undefined)
    const { headers, body } = asked
    assert.equal(headers['content-type'], 'application/cloudevents+json; charset=utf-8')
    const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`
    const signature = createHmac('sha256', secret).update(signed).digest('base64')
    assert.equal(headers['webhook-signature'], `v1,${signature}`)
    const event = eventsOf(id)[0]
    assert.deepEqual(
      [event?.specversion, event?.type, event?.subject, event?.source],
      ['1.0', 'dev.sallyport.approval.requested', id, 'https://gw.example.com'],
    )
    assert.equal(event?.id, headers['webhook-id'])
    assert.doesNotMatch(body, /stale/u)
    await world.approvals.answer(id, person('maria'), 'approve', '')
    await until('its end is told', () => eventsOf(id).length === 2)
    assert.equal(eventsOf(id)[1]?.type, 'dev.sallyport.approval.decided')
    await channels.close()
  })

  test('what ended while nothing was told is told by the next start', async () => {
    await write()
    const first = await open()
    const waits = await world.ask({ wait: 'return', path: ['a_later', 'a_x'] as never })
    await until('it is told', () => eventsOf(waits.id).length === 1)
    await first.close()
    await world.approvals.answer(waits.id, person('maria'), 'deny', '')
    const unseen = await world.ask({ wait: 'return', path: ['a_unseen', 'a_x'] as never })
    const second = await open()
    await until('both are told', () => {
      return eventsOf(waits.id).length === 2 && eventsOf(unseen.id).length === 1
    })
    await second.close()
  })

  test('only what the routes take is told, and a change of the files counts at once', async () => {
    await write(', routes: [{connections: [other]}]')
    const channels = await open()
    const left = await world.ask({ path: ['a_r1', 'a_x'] as never })
    const taken = await world.ask({ path: ['a_r2', 'a_x'] as never, connection: 'other' })
    await until('one is told', () => eventsOf(taken.id).length === 1)
    assert.equal(eventsOf(left.id).length, 0)
    await write(', routes: [{connections: [orders-db]}]')
    await until('what still waits is told', () => eventsOf(left.id).length === 1)
    assert.equal(configs.at(-1), '')
    await write(', routes: nonsense')
    await until('the problem is told', () => channels.problems !== '')
    assert.match(channels.problems, /routes must be a list[^]*\^/u)
    const after = await world.ask({ path: ['a_r3', 'a_x'] as never })
    await until('what was in force stays', () => eventsOf(after.id).length === 1)
    await channels.close()
  })

  test('a receiver that is away keeps nobody from an answer, and that is an event', async () => {
    await write('', 'http://127.0.0.1:9/in')
    const channels = await open()
    const { id } = await world.ask({ path: ['a_away', 'a_x'] as never })
    await until('it fails', () => world.ledger.named('channel.failed').length > 0)
    const [fact] = world.ledger.named('channel.failed')
    assert.equal(fact?.subject, 'bot')
    assert.match(String(fact.detail?.['problem']), /cannot be reached/u)
    assert.equal((await channels.status())[0]?.waiting, 1)
    assert.equal((await world.approvals.get(id)).state, 'pending')
    const tried = await channels.test('bot')
    assert.equal(tried.ok, false)
    await world.approvals.answer(id, person('maria'), 'approve', '')
    assert.equal(world.sentTo(id)[0]?.outcome, 'approved')
    await channels.close()
  })

  test('a test is an event that says so', async () => {
    await write()
    const channels = await open()
    assert.deepEqual(await channels.test('bot'), { name: 'bot', where: receiver.url, ok: true })
    assert.equal(events().at(-1)?.type, 'dev.sallyport.channel.test')
    await assert.rejects(channels.test('none'), { code: 'SP_NOT_FOUND' })
    await channels.close()
  })
})
