import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { skipReason, until } from '@sallyport/testkit'
import { AgentFamily } from './agent-family.ts'
import { psql, sallyport, sallyportOnTerminal } from './command-line.ts'
import { guardPolicy as policy, startTestGateway, type TestGateway } from './test-gateway.ts'

const seed = `create table customers (id int, email text); insert into customers values (1, 'ana@shop.example')`

interface Line {
  readonly kind: string
  readonly session?: string
  readonly position?: number
  readonly entries?: number
  readonly reason?: string
  readonly entry?: { readonly kind: string; readonly seq?: number }
}

function linesOf(text: string): Line[] {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
}

/** A watcher that reads only when it is told to. */
class RawWatcher implements Disposable {
  readonly response: IncomingMessage
  text = ''

  private constructor(response: IncomingMessage) {
    this.response = response
  }

  static async open(gateway: TestGateway, query: string): Promise<RawWatcher> {
    const token = readFileSync(join(gateway.dataDir, 'owner.token'), 'utf8').trim()
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const asked = request({
        host: '127.0.0.1',
        port: gateway.gateway.ports.api,
        path: `/v1/watch?${query}`,
        headers: { authorization: `Bearer ${token}` },
        agent: false,
      })
      asked.on('response', resolve).on('error', reject).end()
    })
    response.on('error', () => undefined)
    return new RawWatcher(response)
  }

  read(): this {
    this.response.setEncoding('utf8').on('data', (text: string) => (this.text += text))
    return this
  }

  get lines(): Line[] {
    return linesOf(this.text).filter(({ kind }) => kind !== 'alive')
  }

  [Symbol.dispose](): void {
    this.response.destroy()
  }
}

async function recordedOf(gateway: TestGateway, session: string): Promise<Line[]> {
  return linesOf(await (await gateway.api('GET', `/v1/sessions/${session}`)).text())
}

suite('watching sessions while they go on', { skip: skipReason() }, () => {
  test('a search shows what it would find, as it happens, and nothing else', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    const family = new AgentFamily(gateway)
    const [root, other] = [await family.root(), await family.root()]
    const scout = await family.child(root, 'scout')
    using blocked = sallyport(gateway, ['watch', 'verdict:blocked'])
    using masked = sallyport(gateway, ['watch', `tree:${root.id} masked:emails`, '-o', 'ndjson'])
    using big = sallyport(gateway, ['watch', 'rows:>=3 -text:noise', '-o', 'ndjson'])
    await until('all watch', async () => {
      // A command of each kind, until every watcher has shown one.
      await psql(
        gateway,
        await family.url(scout),
        `drop table customers; select email from customers; select * from generate_series(1, 3)`,
      )
      return [blocked, masked, big].every(({ out }) => out !== '')
    })
    const script = `select 'quiet-' || 1 as word;\nselect id, email from customers;\ndrop table customers;\nselect 'noise' from generate_series(1, 9);\nselect 'loud-' || i from generate_series(1, 4) as i;\n`
    for (const agent of [scout, other])
      assert.equal((await psql(gateway, await family.url(agent), script)).code, 0)
    const sessions = new Set<string | undefined>()
    await until('both blocked commands came', () => blocked.out.split('drop table').length >= 4)
    await until('the masked answer came', () => masked.out.includes('select id, email'))
    await until('both long answers came', () => big.out.split('loud-').length >= 3)
    await until('their sessions ended', () =>
      linesOf(big.out).some((line) => {
        if (line.entry?.kind === 'session.closed') sessions.add(line.session)
        return sessions.size > 1
      }),
    )
    for (const { out } of [blocked, masked, big]) {
      assert.doesNotMatch(out, /quiet-|noise/)
      assert.doesNotMatch(out, /ana@shop/)
    }
    assert.doesNotMatch(blocked.out, /select/)
    assert.doesNotMatch(masked.out, /drop table|loud-/)
    const kinds = new Set(linesOf(masked.out).map(({ entry }) => entry?.kind))
    for (const kind of ['session.opened', 'command', 'masked', 'response.end'] as const)
      assert.ok(kinds.has(kind), kind)
    const refused = sallyport(gateway, ['watch', 'verdict:blocked since:1h'])
    assert.equal(await refused.ended(), 2)
    assert.match(refused.err, /times are for/)
  })

  test('a tree is followed through new sessions on every worker, as its callers see it, and nobody else is', async () => {
    await using gateway = await startTestGateway({ policy, seed, workers: 2 })
    const family = new AgentFamily(gateway)
    const [watched, other] = [await family.root(), await family.root()]
    const child = await family.child(watched, 'scout')
    using watch = sallyport(gateway, ['watch', watched.id, '-o', 'ndjson'])
    using text = sallyport(gateway, ['watch', watched.id])
    using blocked = sallyport(gateway, ['watch', watched.id, '--only', 'decisions'])
    using raw = (await RawWatcher.open(gateway, `of=${watched.id}&as=ndjson`)).read()
    const script = `select id, email from customers;\ndrop table customers;\nselect 'quiet' as word;\n`
    const agents = [watched, child, other, watched, child, watched, child, watched]
    await until('all watch', async () => {
      await psql(gateway, await family.url(watched), `select 'warming up'`)
      return [watch, text, blocked].every(({ out }) => out !== '')
    })
    for (const agent of agents) {
      const { code, err } = await psql(gateway, await family.url(agent), script)
      assert.equal(code, 0, err)
    }
    const count = (lines: readonly Line[], kind: string): number =>
      lines.filter(({ entry }) => entry?.kind === kind).length
    const isAll = (text: string): boolean => {
      const lines = linesOf(text)
      const isOver = count(lines, 'session.opened') === count(lines, 'session.closed')
      return isOver && text.split('quiet').length > 7
    }
    await until('it saw all', () => isAll(raw.text))
    await until('the command line saw all', () => isAll(watch.out))
    await until('the texts came', () => text.out.split('quiet').length > 7 * 2)
    const warm = raw.lines.filter(({ kind }) => kind === 'entry')
    const sessions = [...new Set(warm.map(({ session = '' }) => session))]
    assert.ok(sessions.length >= 7)
    // Each entry once, in order, and as it is recorded.
    for (const session of sessions) {
      const recorded = await recordedOf(gateway, session)
      const seen = warm.filter((line) => line.session === session)
      assert.deepEqual(
        seen.map((line) => ({ ...line, verified: true })),
        recorded.slice(-seen.length),
      )
    }
    const workers = new Set(
      warm.flatMap(({ entry }) =>
        entry?.kind === 'session.opened' ? [Reflect.get(entry, 'worker')] : [],
      ),
    )
    assert.equal(workers.size, 2, 'both workers had sessions')
    const everything = raw.text + watch.out + text.out + blocked.out
    assert.ok(!everything.includes('ana@shop.example'))
    assert.match(text.out, / {4}1 {2}\| •••\n[^]*s_\w{5} [\d:.]+ {2}#1 SELECT 1/u)
    assert.ok(!everything.includes(other.id))
    assert.match(blocked.out, /block by guard\/no-drop/)
    assert.match(blocked.out, /masked 1 by guard\/emails/)
    assert.ok(!blocked.out.includes('quiet'))
  })

  test('a session is watched to its end, and one that is over is not', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    const family = new AgentFamily(gateway)
    const client = await family.session(await family.root())
    await client.query('select 1 as before')
    const listed = (await (await gateway.api('GET', '/v1/sessions')).json()) as { id: string }[]
    const session = listed[0]?.id ?? ''
    using watch = sallyport(gateway, ['watch', session.slice(0, 8)])
    await watch.printed(/── s_/)
    await client.query('select 2 as later')
    await client.end()
    assert.equal(await watch.ended(), 0, watch.err)
    assert.match(watch.out, /select 2 as later/)
    assert.doesNotMatch(watch.out, /select 1 as before/)
    assert.match(watch.out, /closed: /)
    using late = sallyport(gateway, ['watch', session])
    assert.equal(await late.ended(), 2)
    assert.match(late.err, /is replayed: sallyport replay/)
    using wrong = sallyport(gateway, ['watch', 'since:1h'])
    assert.equal(await wrong.ended(), 2)
    assert.match(wrong.err, /SP_QUERY_INVALID/)
  })

  test('who stops reading loses the view and is told how much; the caller and the recording lose nothing', async () => {
    await using gateway = await startTestGateway({ seed })
    const family = new AgentFamily(gateway)
    const agent = await family.root()
    const client = await family.session(agent)
    const id = await until('the session is listed', async () => {
      const rows = (await (await gateway.api('GET', '/v1/sessions')).json()) as { id: string }[]
      return rows[0]?.id
    })
    using slow = await RawWatcher.open(gateway, `of=${id}&as=ndjson`)
    using quick = (await RawWatcher.open(gateway, `of=${id}&as=steps`)).read()
    let rows = 0
    for (let seq = 1; seq <= 40; seq += 1) {
      const answer = await client.query(
        `select repeat(md5(i::text), 30) as wide from generate_series(1, 1000) i`,
      )
      rows += answer.rows.length
    }
    assert.equal(rows, 40_000, 'the caller got everything while nobody read')
    await client.query(`select 'the last' as word`)
    await until('the quick one saw the last', () => quick.text.includes('the last'))
    slow.read()
    await until('the slow one reads on', () => slow.lines.some(({ kind }) => kind === 'gap'))
    await client.query(`select 'after the gap' as word`)
    await until('it is back', () => slow.text.includes('after the gap'))
    await client.end()
    await until('the end came', () => slow.lines.some(({ kind }) => kind === 'end'))
    const recorded = await recordedOf(gateway, id)
    const { lines } = slow
    const seen = lines.filter(({ kind }) => kind === 'entry')
    const missed = lines.reduce(
      (sum, { kind, entries = 0 }) => sum + (kind === 'gap' ? entries : 0),
      0,
    )
    assert.ok(missed > 0)
    const [first] = seen
    assert.equal(seen.length + missed, recorded.length - (first?.position ?? 0))
    assert.ok(!quick.lines.some(({ kind }) => kind === 'gap'), 'the other lost nothing')
  })

  test('twenty watchers see the same; those that are killed leave their places, and too many are refused', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    const family = new AgentFamily(gateway)
    const agent = await family.root()
    const watchers = await Promise.all(
      Array.from({ length: 20 }, async () => (await RawWatcher.open(gateway, 'as=ndjson')).read()),
    )
    using command = sallyport(gateway, ['watch'])
    const client = await family.session(agent)
    for (let each = 1; each <= 30; each += 1) await client.query(`select ${each} as n`)
    await client.end()
    const over = ({ lines }: RawWatcher): boolean =>
      lines.some(({ entry }) => entry?.kind === 'session.closed')
    await until('all saw the end', () => watchers.every(over))
    const entries = watchers.map(({ lines }) => lines.filter(({ kind }) => kind === 'entry'))
    for (const each of entries) assert.deepEqual(each, entries[0])
    assert.ok((entries[0]?.length ?? 0) >= 62)
    await until('the command line watches', async () => {
      await psql(gateway, await family.url(agent), `select 'beat'`)
      return command.out.includes('beat')
    })
    command.child.kill('SIGKILL')
    await command.ended()
    const more: RawWatcher[] = []
    await until('no more are let in', async () => {
      const next = await RawWatcher.open(gateway, 'as=steps')
      if (next.response.statusCode === 200) more.push(next)
      else next.read()
      return next.response.statusCode === 429
    })
    assert.ok(more.length >= 79 && more.length <= 80, String(more.length))
    for (const each of [...watchers, ...more]) each[Symbol.dispose]()
    using again = await until('there is room again', async () => {
      const next = await RawWatcher.open(gateway, 'as=steps')
      return next.response.statusCode === 200 ? next : undefined
    })
    again.read()
    const { code } = await psql(gateway, await family.url(agent), `select 'still served'`)
    assert.equal(code, 0)
    await until('it sees', () => again.text.includes('still served'))
  })

  test('when the gateway stops, who watches reads what was last and why it ends', async () => {
    const gateway = await startTestGateway({ policy, seed })
    const family = new AgentFamily(gateway)
    using watch = sallyport(gateway, ['watch'])
    const client = await family.session(await family.root())
    await until('it watches', async () => {
      await client.query('select 1 as beat')
      return watch.out.includes('as beat')
    })
    await gateway[Symbol.asyncDispose]()
    assert.equal(await watch.ended(), 6, watch.err)
    assert.match(watch.out, /closed: /)
    assert.match(watch.err, /the gateway stops/)
  })

  test('a worker that is killed: its sessions are seen to end, and those of the next one to begin', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    const family = new AgentFamily(gateway)
    const agent = await family.root()
    using watch = (await RawWatcher.open(gateway, 'as=ndjson')).read()
    const client = await family.session(agent)
    await client.query(`select 'before' as word`)
    await until('it is seen', () => watch.text.includes('before'))
    const { workers } = await gateway.gateway.status()
    process.kill(workers[0]?.pid ?? 0, 'SIGKILL')
    const end = await until('its end is seen', () =>
      watch.lines.find(({ entry }) => entry?.kind === 'session.closed'),
    )
    assert.equal(Reflect.get(end.entry ?? {}, 'reason'), 'aborted')
    await until('the next is seen', async () => {
      await psql(gateway, await family.url(agent), `select 'after' as word`)
      return watch.text.includes('after')
    })
    assert.ok(!watch.lines.some(({ kind }) => kind === 'gap'))
    await client.end().catch(() => undefined)
  })

  test('a store that is away holds no view up', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    const family = new AgentFamily(gateway)
    await rm(join(gateway.dataDir, 'recordings'), { recursive: true, force: true })
    await writeFile(join(gateway.dataDir, 'recordings'), 'no folder')
    using watch = (await RawWatcher.open(gateway, 'as=steps')).read()
    const client = await family.session(await family.root())
    await client.query(`select 'seen' as word`)
    await until('it is seen', () => watch.text.includes('seen'))
    await until('the ledger tells who watches', async () => {
      const answer = await gateway.api('GET', '/v1/ledger?q=what:session.watched')
      return ((await answer.json()) as { facts: unknown[] }).facts.length === 1
    })
    await client.end()
    await rm(join(gateway.dataDir, 'recordings'))
  })

  test('only the owner watches', async () => {
    await using gateway = await startTestGateway()
    const family = new AgentFamily(gateway)
    const agent = await family.root()
    const url = `http://127.0.0.1:${gateway.gateway.ports.api}/v1/watch`
    for (const authorization of [undefined, 'Bearer wrong', `Bearer ${agent.handle}`]) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
      const answer = await fetch(url, { headers })
      assert.equal(answer.status, 401)
      await answer.body?.cancel()
    }
  })

  test('on a terminal k kills and f freezes the agent, after a yes', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    const family = new AgentFamily(gateway)
    const agent = await family.root()
    const child = await family.child(agent, 'scout')
    const client = await family.session(child)
    const state = async (): Promise<string> => {
      const view = await family.ask('GET', `/v1/agents/${child.id}`)
      return (view as { state: string }).state
    }
    using watch = sallyportOnTerminal(gateway, ['watch', `tree:${agent.id}`])
    await until('it watches', async () => {
      await client.query('select 1 as beat')
      return watch.out.includes('as beat')
    })
    watch.type('k')
    await watch.printed(new RegExp(`kill ${child.id} .*scout`))
    watch.type('n')
    await watch.printed(/left alone/)
    assert.equal(await state(), 'active')
    watch.type('f')
    await watch.printed(/freeze a_/)
    watch.type('y')
    await watch.printed(/✓ froze/)
    assert.equal(await state(), 'frozen')
    watch.type('k')
    await watch.printed(/left alone[^]*kill a_/)
    watch.type('y')
    await watch.printed(/✓ revoked/)
    assert.equal(await state(), 'revoked')
    await watch.printed(/closed: /)
    watch.type('q')
    assert.equal(await watch.ended(), 0)
    await client.end().catch(() => undefined)
  })
})
