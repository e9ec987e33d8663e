import assert from 'node:assert/strict'
import { after, before, beforeEach, suite, test } from 'node:test'
import { until } from '@sallyport/testkit'
import { DeliveryError } from '../../exports/delivery/destination.ts'
import { AskingWorld, person } from './asking-world.fixture.ts'
import { NOTICE_KINDS, MessageRefused, type Channel, type Notice } from './channel.ts'
import { ChannelSender, type ChannelSenderOptions } from './channel-sender.ts'
import { NoticeQueue, type QueuedChannel } from './notice-queue.ts'
import { readLog } from './notice-rows.ts'

/** A channel that does what a test says. */
class TestChannel implements Channel {
  readonly where = 'a test'
  edits = false
  readonly approvalsMax: number
  readonly isForPeople: boolean
  readonly taken: Notice[] = []
  answer: (notice: Notice) => Promise<void> | void = () => undefined

  constructor(isForPeople: boolean, approvalsMax = 100) {
    this.isForPeople = isForPeople
    this.approvalsMax = approvalsMax
  }

  async deliver(notice: Notice): Promise<undefined> {
    await this.answer(notice)
    this.taken.push(notice)
  }

  async test(): Promise<void> {}
  async close(): Promise<void> {}

  ids(kind: Notice['kind']): string[][] {
    return this.taken
      .filter((each) => each.kind === kind)
      .map(({ approvals }) => approvals.map(({ id }) => id))
  }
}

suite('what is told of requests for approval', { timeout: 60_000 }, () => {
  let world: AskingWorld
  let count = 0
  let name: string
  const full: string[] = []
  const failures: { problem: string; dropped: readonly string[] }[] = []
  let queue: NoticeQueue
  before(async () => {
    world = await AskingWorld.open()
  })
  after(async () => await world[Symbol.asyncDispose]())
  beforeEach(() => {
    count += 1
    name = `c${count}`
    full.length = 0
    failures.length = 0
    queue = new NoticeQueue({
      store: world.store,
      now: world.now,
      onFull: (_channel, approval) => full.push(approval),
    })
  })

  const queued = (channel: Channel): QueuedChannel => ({
    name,
    events: NOTICE_KINDS,
    isForPeople: channel.isForPeople,
    edits: channel.edits,
    approvalsMax: channel.approvalsMax,
  })
  const note = async (channel: Channel, id: string): Promise<boolean> =>
    await queue.note(queued(channel), await world.approvals.get(id))
  const missingFor = async (channel: Channel): Promise<string[]> => {
    const ids: string[] = []
    for await (const id of queue.missing(queued(channel))) ids.push(id)
    return ids
  }
  const senderOf = (
    channel: Channel,
    over: Partial<ChannelSenderOptions> = {},
  ): ChannelSender & AsyncDisposable => {
    const sender = new ChannelSender({
      name,
      type: 'test',
      channel,
      store: world.store,
      view: async (id) => await world.approvals.get(id),
      urlOf: (id) => `https://gw/a/${id}`,
      now: world.now,
      onFailure: (problem, dropped) => failures.push({ problem, dropped }),
      onFault: (error) => world.faults.push(error),
      retryMsFirst: 5,
      ...over,
    })
    sender.start()
    return Object.assign(sender, { [Symbol.asyncDispose]: async () => await sender.stop() })
  }
  /** The clock goes on, and the sender looks. */
  const pass = (sender: ChannelSender, ms: number): void => {
    world.aheadMs += ms
    sender.more()
  }

  test('what comes together is one message with a count, whatever else asks meanwhile', async () => {
    const channel = new TestChannel(true)
    const asked = []
    for (let n = 0; n < 12; n++) asked.push(await world.ask())
    const other = await world.ask({ path: ['a_other', 'a_x'] as never })
    await Promise.all([...asked, other].map(({ id }) => note(channel, id)))
    await using sender = senderOf(channel)
    pass(sender, 1000)
    await until('both trees are told', () => channel.taken.length === 2)
    assert.deepEqual(
      channel.taken.map((each) => each.count).toSorted((a, b) => a - b),
      [1, 12],
    )
    assert.deepEqual(
      channel.taken.find((each) => each.count === 12)?.approvals.map(({ id }) => id),
      asked.map(({ id }) => id),
    )
  })

  test('what follows within a minute waits for the minute, and is one more message', async () => {
    const channel = new TestChannel(true)
    await using sender = senderOf(channel)
    const first = await world.ask()
    await note(channel, first.id)
    pass(sender, 1000)
    await until('the first is told', () => channel.taken.length === 1)
    const later = []
    for (let n = 0; n < 3; n++) {
      pass(sender, 10_000)
      const next = await world.ask()
      later.push(next.id)
      await note(channel, next.id)
    }
    const [waiting] = await readLog(world.store, { channel: name, limit: 1 })
    assert.equal(waiting?.state, 'waiting')
    assert.deepEqual(waiting.approvals, later.toSorted())
    pass(sender, 40_000)
    await until('the others are told', () => channel.taken.length === 2)
    assert.deepEqual(channel.ids('requested'), [[first.id], later])
  })

  test('nobody is told so late that half of the time to answer is over', async () => {
    const channel = new TestChannel(true)
    await using sender = senderOf(channel)
    await note(channel, (await world.ask()).id)
    pass(sender, 1000)
    await until('the first is told', () => channel.taken.length === 1)
    // As in an open transaction.
    const short = await world.ask({ untilMs: world.now() + 20_000 })
    await note(channel, short.id)
    pass(sender, 10_000)
    await until('the second is told', () => channel.taken.length === 2)
  })

  test('a request is told once when it begins and once when it has ended, however often it changes', async () => {
    const channel = new TestChannel(false)
    await using sender = senderOf(channel)
    const { id } = await world.ask()
    for (let n = 0; n < 3; n++) await note(channel, id)
    pass(sender, 1000)
    await until('it is told', () => channel.taken.length === 1)
    await world.approvals.answer(id, person('maria'), 'approve', 'fine')
    for (let n = 0; n < 3; n++) await note(channel, id)
    pass(sender, 1000)
    await until('its end is told', () => channel.taken.length === 2)
    assert.deepEqual(
      channel.taken.map(({ kind, approvals }) => [kind, approvals[0]?.state]),
      [
        ['requested', 'pending'],
        ['decided', 'used'],
      ],
    )
    assert.equal(channel.taken[1]?.approvals[0]?.answers[0]?.by, 'maria@example.com')
  })

  test('people are not told that something waits which has ended, nor how it ended', async () => {
    const people = new TestChannel(true)
    const { id } = await world.ask()
    await note(people, id)
    await world.approvals.withdrawn(id, 'cancelled')
    await note(people, id)
    await using sender = senderOf(people)
    pass(sender, 1000)
    await until('it is not told', async () => {
      const log = await readLog(world.store, { channel: name, limit: 5 })
      return log.length === 1 && log[0]?.state === 'dropped'
    })
    assert.equal(people.taken.length, 0)
    assert.equal(failures.length, 0)
  })

  test('a system is told the whole story, also of what ended before anybody looked', async () => {
    const channel = new TestChannel(false)
    const { id } = await world.ask()
    await world.approvals.withdrawn(id, 'cancelled')
    await note(channel, id)
    await using sender = senderOf(channel)
    pass(sender, 1000)
    await until('both are told', () => channel.taken.length === 2)
    assert.deepEqual(channel.ids('requested'), [[id]])
    assert.deepEqual(channel.ids('withdrawn'), [[id]])
  })

  test('what fails is tried again until it is there; it decides nothing, and its failure is told once', async () => {
    const channel = new TestChannel(true)
    let tries = 0
    channel.answer = () => {
      tries += 1
      if (tries < 4) throw new DeliveryError('the receiver is away')
    }
    const { id } = await world.ask()
    await note(channel, id)
    await using sender = senderOf(channel)
    pass(sender, 1000)
    await until('it arrives', async () => (await sender.status()).delivered === 1)
    assert.equal((await world.approvals.get(id)).state, 'pending')
    assert.equal(world.sentTo(id).length, 0)
    assert.deepEqual(failures, [{ problem: 'the receiver is away', dropped: [] }])
    const { failures: failed, problem, delivered } = await sender.status()
    assert.deepEqual([failed, problem, delivered], [3, undefined, 1])
  })

  test('a sender that dies in the middle of a try tells it again with the same id', async () => {
    const channel = new TestChannel(true)
    const never = Promise.withResolvers<void>()
    channel.answer = () => never.promise
    const { id } = await world.ask()
    await note(channel, id)
    const killed = senderOf(channel)
    pass(killed, 1000)
    await until('it is tried', async () => {
      return (await readLog(world.store, { channel: name, limit: 1 }))[0]?.tries === 1
    })
    // Nothing of the first sender is heard again: another process begins.
    const next = new TestChannel(true)
    await using sender = senderOf(next)
    pass(sender, 60_000)
    await until('it is told again', () => next.taken.length === 1)
    assert.deepEqual(next.ids('requested'), [[id]])
    never.resolve()
    await killed.stop()
    assert.equal(channel.taken[0]?.id, next.taken[0]?.id)
  })

  test('a wait that began before a restart goes on behind it', async () => {
    const channel = new TestChannel(true)
    channel.answer = () => {
      throw new DeliveryError('away', { retryAfterMs: 60_000 })
    }
    const { id } = await world.ask()
    await note(channel, id)
    const first = senderOf(channel)
    pass(first, 1000)
    await until('it failed', async () => (await first.status()).failures === 1)
    await first.stop()
    channel.answer = () => undefined
    await using sender = senderOf(channel)
    sender.more()
    await until('the sender has looked', async () => (await sender.status()).waiting === 1)
    assert.equal(channel.taken.length, 0)
    pass(sender, 60_000)
    await until('it arrives', () => channel.taken.length === 1)
  })

  test('what a channel refuses for good, and what is a day old, is given up and told as such', async () => {
    const channel = new TestChannel(false)
    const refused = await world.ask()
    await note(channel, refused.id)
    channel.answer = () => {
      throw new MessageRefused('no such recipient')
    }
    await using sender = senderOf(channel)
    pass(sender, 1000)
    await until('it is given up', () => failures.length === 1)
    assert.deepEqual(failures, [{ problem: 'no such recipient', dropped: [refused.id] }])

    channel.answer = () => {
      throw new DeliveryError('away')
    }
    const late = await world.ask({ untilMs: world.now() + 48 * 3_600_000 })
    await note(channel, late.id)
    pass(sender, 61_000)
    await until('it fails', async () => (await sender.status()).failures > 0)
    pass(sender, 24 * 3_600_000)
    await until('it is given up', () => failures.some(({ dropped }) => dropped.includes(late.id)))
    assert.equal((await world.approvals.get(late.id)).state, 'pending')
    const { dropped, waiting } = await sender.status()
    assert.deepEqual([dropped, waiting], [2, 0])
  })

  test('at most a thousand messages wait, and the next is told as one that is not sent', async () => {
    const channel = new TestChannel(true)
    const { id } = await world.ask()
    await note(channel, id)
    for (let n = 0; n < 999; n++)
      await world.store.db
        .insertInto('channel_notice')
        .values({
          channel: name,
          kind: 'requested',
          tree: `t${n}`,
          state: 'waiting',
          begun_at: new Date(),
          due_at: new Date(world.now() + 3_600_000),
          tries: 1,
          ended_at: null,
          problem: '',
          receipt: null,
        })
        .execute()
    const next = await world.ask({ path: ['a_next', 'a_x'] as never })
    await note(channel, next.id)
    assert.deepEqual(full, [next.id])
    // Of what may still be joined nothing is lost.
    const joined = await world.ask()
    await note(channel, joined.id)
    assert.deepEqual(full, [next.id])
  })

  test('after a restart everything is found that nobody was told of, and nothing else', async () => {
    const channel = new TestChannel(false)
    const told = await world.ask({ wait: 'return' })
    await note(channel, told.id)
    await world.approvals.answer(told.id, person('maria'), 'deny', '')
    const unseen = await world.ask({ wait: 'return' })
    const ended = await world.ask()
    await world.approvals.withdrawn(ended.id, 'cancelled')
    const missing = await missingFor(channel)
    assert.ok(missing.includes(told.id) && missing.includes(unseen.id))
    // It had begun and ended before this channel heard of anything.
    assert.ok(!missing.includes(ended.id))
    for (const id of missing) await note(channel, id)
    assert.deepEqual(await missingFor(channel), [])
  })
})
