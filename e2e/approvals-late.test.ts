import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, suite, test } from 'node:test'
import type { Entry } from '@sallyport/core'
import { ScriptedPeer, skipReason, until } from '@sallyport/testkit'
import { encodeQuery } from '@sallyport/wire'
import { sessionEntries } from '../packages/gateway/src/control-plane/recordings/recordings.ts'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { ApprovalCalls, wireSession } from './approval-calls.ts'
import { GateRelay, type Gate } from './gate-relay.ts'
import { workerPids } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { inWords, sendCancel, type WireCaller } from './wire-caller.ts'

const policy = (more = ''): string => `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: deletes
      on: sql
      when: '"delete" in op.classes'
      effect: approve
      approve: {from: [owner], selfRoot: allow}
      message: "The owner looks."
${more}`
const seed = `create table orders(id int primary key);
insert into orders select generate_series(1, 200);`

interface Late {
  readonly agent: TestAgent
  readonly parent: TestAgent
  readonly caller: WireCaller
  readonly id: string
  readonly session: string
  /** What stands before the target at the point that the test is about. */
  readonly gate: Gate
}

/** What all that were there say of one command. */
interface Told {
  /** Messages that the caller read, one a line. */
  readonly read: string
  /** How often the target's log has it. */
  readonly runs: number
  /** What the recording has of it, oldest first. */
  readonly story: readonly string[]
  readonly state: string
}

/** Points between a yes and the answer of the target, each at what the gateway is about to send to it. */
const points = {
  /** Somebody has said yes, that is stored, and the catalog is read anew. */
  looking: (bytes: Buffer) => bytes.includes('pg_policy'),
  /** The same within a transaction, where it is asked whether anybody has changed something. */
  lookingInTransaction: (bytes: Buffer) => bytes.includes('sum(xmin'),
  /** The command has been judged again, its yes is recorded, and it leaves. */
  leaving: (bytes: Buffer) => bytes[0] === 0x51 && bytes.includes('delete from orders'),
} as const

/** All that comes up to the next ReadyForQuery, or the end. */
async function hear(caller: WireCaller, lines: string[]): Promise<void> {
  try {
    for (;;) {
      const message = await caller.next()
      lines.push(inWords(message))
      if (message.kind === 'ReadyForQuery') return
    }
  } catch {
    lines.push('the end')
  }
}

/** Somebody has said yes, and something happens before the command has been answered. */
suite('between the yes and the command', { skip: skipReason(), timeout: 300_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  let calls: ApprovalCalls
  let relay: GateRelay
  let count = 0
  before(async () => {
    gateway = await startTestGateway({ policy: policy(), seed, plainText: true })
    relay = await GateRelay.before(gateway.postgres.port)
    family = new AgentFamily(gateway)
    calls = new ApprovalCalls(gateway)
    await lead(relay.port)
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    await relay[Symbol.asyncDispose]()
  })

  /** Makes the connection lead to another port of the same server. */
  const lead = async (port: number): Promise<void> => {
    await gateway.api('DELETE', '/v1/connections/shop')
    const login = { user: 'app', password: 'app-password', database: gateway.postgres.database }
    const connection = { name: 'shop', host: '127.0.0.1', port, tls: 'off', ...login }
    const added = await gateway.api('POST', '/v1/connections', connection)
    assert.ok(added.ok, await added.text())
    const opened = await family.root()
    await until('it is open', async () => {
      const caller = await wireSession(gateway, family, opened).catch(() => undefined)
      await caller?.[Symbol.asyncDispose]()
      return caller !== undefined
    })
  }

  /** Has a command approved, runs `act` when it stands at the point, and lets it go on. */
  const late = async (
    point: keyof typeof points,
    act: (late: Late) => Promise<void>,
    { goesOn = true }: { readonly goesOn?: boolean } = {},
  ): Promise<Told> => {
    count += 1
    const n = count
    const text = `delete from orders where id = ${n}`
    const parent = await family.root()
    const agent = await family.child(parent, `late-${n}`)
    const caller = await wireSession(gateway, family, agent)
    const lines: string[] = []
    if (point === 'lookingInTransaction') {
      caller.send(encodeQuery('begin'))
      lines.push(...(await caller.until('ReadyForQuery')))
    }
    caller.send(encodeQuery(text))
    const heard = hear(caller, lines)
    const { id, session } = await calls.waiting(new RegExp(`id = ${n}$`))
    const gate = relay.stopAt(points[point])
    assert.equal((await calls.answer(id, 'approve')).state, 'used')
    await gate.reached
    await act({ agent, parent, caller, id, session, gate })
    if (goesOn) gate.letGo()
    await heard
    await caller[Symbol.asyncDispose]()
    const entries = await until('the session ends', async () => {
      const found = await entriesOf(session)
      return found.at(-1)?.kind === 'session.closed' ? found : false
    })
    const log = await readFile(gateway.postgres.logFile, 'utf8')
    const told = {
      read: lines.join('\n'),
      runs: log.split('\n').filter((line) => line.endsWith(`statement: ${text}`)).length,
      story: storyOf(entries),
      state: (await calls.get(id)).state,
    }
    await mustAgree(told, n)
    return told
  }

  const entriesOf = async (session: string): Promise<Entry[]> => {
    const entries: Entry[] = []
    for await (const item of sessionEntries(gateway.gateway.recorded, session))
      if ('entry' in item) entries.push(item.entry)
    return entries
  }

  /** Of the command that was held: what happened to it, in the recording's words. */
  const storyOf = (entries: readonly Entry[]): string[] => {
    const seq = entries.find(({ kind }) => kind === 'held')
    return entries.flatMap((entry) => {
      if (!('seq' in entry) || seq?.kind !== 'held' || entry.seq !== seq.seq) return []
      if (entry.kind === 'answered') return [`answered ${entry.outcome}`]
      if (entry.kind === 'response.end') return [`ended ${entry.status}`]
      return entry.kind === 'refused' ? [`refused ${entry.code}`] : [entry.kind]
    })
  }

  /** Whatever happened: the caller, the target, the recording and the request tell the same. */
  const mustAgree = async ({ read, runs, story, state }: Told, n: number): Promise<void> => {
    const shown = JSON.stringify({ read, runs, story, state })
    assert.ok(runs <= 1, `it ran twice: ${shown}`)
    const isAnswered = /CommandComplete \{"tag":"DELETE/.test(read)
    const isRefused = story.some((each) => each.startsWith('refused'))
    assert.ok(!(isAnswered && runs === 0), `a result of nothing: ${shown}`)
    if (runs === 1) {
      assert.ok(story.includes('answered approved'), `it ran by no yes on record: ${shown}`)
      assert.ok(!isRefused && !/Not executed/.test(read), `it was said not to run: ${shown}`)
    }
    if (story.includes('ended complete')) assert.equal(runs, 1, shown)
    assert.equal(isAnswered, story.includes('ended complete'), shown)
    // Whatever was not executed is there; what was is gone, or its transaction went with its session.
    const there = await gateway.postgres.sql(`select count(*) from orders where id = ${n}`)
    if (runs === 0) assert.equal(there, '1', shown)
    // The yes is spent either way.
    assert.equal(state, 'used', shown)
  }

  const kill = async (): Promise<void> => {
    for (const pid of await workerPids(gateway)) process.kill(pid, 'SIGKILL')
    await until('a worker is there again', async () => (await workerPids(gateway)).length > 0)
  }
  const cancels = async ({ caller }: Late): Promise<void> => {
    const peer = await ScriptedPeer.connect(gateway.gateway.ports.postgres)
    sendCancel(peer, caller)
    await peer.expectEnd()
  }
  const blockIt = `    - {name: none, on: sql, when: '"delete" in op.classes', effect: block, message: "No."}\n`
  const askMaria = `    - {name: more, on: sql, when: '"delete" in op.classes', effect: approve, approve: {from: ["user:maria"]}, message: "Maria too."}\n`

  for (const point of ['looking', 'lookingInTransaction'] as const)
    suite(point, () => {
      test('nothing: it runs, once', async () => {
        const { runs, story, read } = await late(point, async () => undefined)
        assert.equal(runs, 1, read)
        assert.deepEqual(story.slice(-2), ['answered approved', 'ended complete'])
      })

      for (const [what, act, says] of [
        ['its caller cancels it', cancels, /was withdrawn: its caller cancelled it/],
        ['its caller leaves', async ({ caller }) => await caller[Symbol.asyncDispose](), /the end/],
        ['its agent is revoked', async ({ agent }) => void (await family.revoke(agent)), /revoked/],
        [
          'the agent above is revoked',
          async ({ parent }) => void (await family.revoke(parent)),
          /revoked/,
        ],
        ['its agent is frozen', async ({ agent }) => void (await family.freeze(agent)), /frozen/],
        [
          'its agent is frozen, and let go again',
          async ({ agent }) => {
            await family.freeze(agent)
            await family.unfreeze(agent)
          },
          /SP_APPROVAL_WITHDRAWN|SP_AGENT_FROZEN/,
        ],
        [
          'its agent is narrowed to reading',
          async ({ agent }) =>
            void (await family.ask('POST', `/v1/agents/${agent.id}/narrow`, {
              allow: ['shop:ro'],
            })),
          /SP_NOT_GRANTED/,
        ],
        ['the target is lost', async () => relay.cutAll(), /ErrorResponse|the end/],
        ['its worker is killed', kill, /the end/],
      ] satisfies readonly [string, (late: Late) => Promise<void>, RegExp][])
        test(`${what}: it does not run, then or later`, async () => {
          const { runs, read, story } = await late(point, act)
          assert.equal(runs, 0, read)
          assert.match(read, says, JSON.stringify(story))
          assert.ok(!story.includes('ended complete'))
          // Who is killed says nothing more; all else is on record.
          const isTold = story.includes('answered withdrawn')
          assert.equal(isTold, act !== kill, JSON.stringify(story))
        })

      test('its connection leads elsewhere, or is gone: the yes was for another one', async () => {
        await using elsewhere = await GateRelay.before(gateway.postgres.port)
        for (const act of [
          async () => await lead(elsewhere.port),
          async () => void (await gateway.api('DELETE', '/v1/connections/shop')),
        ]) {
          const { runs, read } = await late(point, act)
          await lead(relay.port)
          assert.equal(runs, 0, read)
          assert.match(read, /SP_APPROVAL_WITHDRAWN|SP_NOT_GRANTED|the end/)
        }
      })

      test('a rule comes that blocks it: that refusal', async () => {
        const { runs, read } = await late(point, async () => await calls.load(policy(blockIt)))
        await calls.load(policy())
        assert.equal(runs, 0)
        assert.match(read, /ask\/none|"none"|No\./)
      })

      test('a rule comes that asks for more: it is held again, and a no ends it', async () => {
        const { runs, read } = await late(point, async ({ gate, id }) => {
          await calls.load(policy(askMaria))
          gate.letGo()
          const again = await until('it is held again', async () =>
            (await calls.list('pending')).find(({ demands }) => demands.length === 2),
          )
          assert.notEqual(again.id, id)
          await calls.answer(again.id, 'deny')
        })
        await calls.load(policy())
        assert.equal(runs, 0)
        assert.match(read, /denied by root/)
      })
    })

  suite('leaving', () => {
    test('nothing: it runs, once', async () => {
      const { runs, read } = await late('leaving', async () => undefined)
      assert.equal(runs, 1, read)
    })

    for (const [what, act] of [
      ['the target is lost before it gets it', async ({ gate }) => gate.cut()],
      ['its worker is killed', kill],
    ] satisfies readonly [string, (late: Late) => Promise<void>][])
      test(`${what}: nobody says that it ran`, async () => {
        const { runs, read, story } = await late('leaving', act, { goesOn: false })
        assert.equal(runs, 0)
        assert.doesNotMatch(read, /Not executed/, 'nobody can know')
        assert.ok(story.includes('answered approved'), JSON.stringify(story))
      })

    test('its caller leaves, or its agent is revoked: what has left may run, and never twice', async () => {
      for (const act of [
        async ({ caller }: Late) => await caller[Symbol.asyncDispose](),
        async ({ agent, gate }: Late) => {
          const report = family.revoke(agent)
          gate.letGo()
          await report
        },
      ]) {
        const { runs, story } = await late('leaving', act)
        assert.ok(runs <= 1)
        assert.ok(story.includes('answered approved'), JSON.stringify(story))
      }
    })
  })
})
