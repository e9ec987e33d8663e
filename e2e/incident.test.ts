import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite, test } from 'node:test'
import { promisify } from 'node:util'
import { unzipSync } from 'fflate'
import { mkdir } from 'node:fs/promises'
import type { HeldIncident, IncidentReport, IncidentView } from '@sallyport/gateway'
import { skipReason, until } from '@sallyport/testkit'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { psql, sallyport } from './command-line.ts'
import { guardPolicy as policy, startTestGateway, type TestGateway } from './test-gateway.ts'

const seed = `create table customers (id int, email text, note text);
  insert into customers values (1, 'ana@shop.example', 'call back'), (2, 'ben@shop.example', 'now cleo@other.example');
  create table orders (id int, paid boolean); insert into orders values (1, false), (2, false), (3, false)`

interface Attack {
  readonly root: TestAgent
  readonly fixer: TestAgent
  readonly scout: TestAgent
}

/** A compromised grandchild reads customers, tries to drop a table and to reach another database; its parent did its work before. */
async function attack(gateway: TestGateway): Promise<Attack> {
  const family = new AgentFamily(gateway)
  const { postgres } = gateway
  const added = await gateway.api('POST', '/v1/connections', {
    name: 'vault',
    host: '127.0.0.1',
    port: postgres.port,
    user: 'app',
    password: 'app-password',
    database: postgres.database,
    labels: { env: 'prod' },
    tls: 'off',
  })
  assert.ok(added.ok)
  const root = await family.root({ allow: ['shop:*', 'vault:*'] })
  const fixer = await family.child(root, 'fixer')
  const scout = await family.child(fixer, 'scout')
  const work = await psql(
    gateway,
    await family.url(fixer),
    `begin;\nupdate orders set paid = true where id = 1;\ncommit;\nbegin;\nupdate orders set paid = true;\nrollback;\n`,
  )
  assert.equal(work.code, 0, work.err)
  const { err } = await psql(
    gateway,
    await family.url(scout),
    `select id, email, note from customers;\ndrop table customers;\nselect * from dblink('host=10.0.0.9 dbname=vault', 'select 1') as t(a int);\ndelete from orders where id = 3;\nselect 'left\u001B]0;x\u0007' as \`\n;\n`,
  )
  assert.match(err, /no-drop/)
  const refused = await family.tryAsk(
    'POST',
    '/v1/agents/self/credentials',
    { connection: 'vault' },
    scout.handle,
  )
  assert.equal(refused.status, 403)
  await family.revoke(fixer, 'the scout went mad')
  return { root, fixer, scout }
}

async function sessionOf(gateway: TestGateway, name: string): Promise<string> {
  return await until(`the session of ${name} has ended`, async () => {
    const rows = (await (await gateway.api('GET', '/v1/sessions')).json()) as {
      id: string
      chain: string[]
      closedAt?: string
    }[]
    return rows.find(({ chain, closedAt }) => chain.at(-1) === name && closedAt !== undefined)?.id
  })
}

async function command(gateway: TestGateway, words: readonly string[]): Promise<string> {
  using running = sallyport(gateway, words)
  assert.equal(await running.ended(), 0, running.err)
  return running.out
}

/** The six answers, whoever gives them. */
function sixAnswers(report: IncidentReport, { root, fixer, scout }: Attack): void {
  const byAgent = (agent: TestAgent): string[] =>
    report.ran.commands.filter((each) => each.agent === agent.id).map(({ text }) => text)
  assert.deepEqual(
    report.started.roots.map(({ id }) => id),
    [root.id],
    'who started',
  )
  assert.ok(
    report.started.births.some((fact) => fact.what === 'agent.born' && fact.agent === scout.id),
  )
  assert.equal(byAgent(fixer).length, 6, 'what each ran')
  assert.ok(byAgent(scout).some((text) => text.startsWith('drop table customers')))
  const masked = report.returned.filter(({ how }) => how === 'masked')
  assert.deepEqual(
    masked.map(({ agent, what, values, columns, commands }) => [
      agent,
      what,
      values,
      columns,
      commands,
    ]),
    [[scout.id, 'guard/emails', 2, ['public.customers.email'], [1]]],
    'what came back masked',
  )
  const clear = report.returned.filter(({ how }) => how === 'clear')
  assert.deepEqual(
    clear.map(({ agent, what, values, columns }) => [agent, what, values, columns]),
    [[scout.id, 'email', 1, ['note']]],
    'what came back clear',
  )
  assert.deepEqual(
    report.changed.map(({ agent, changed, outcome, verb }) => [agent, verb, changed, outcome]),
    [
      [fixer.id, 'update', 1, 'committed'],
      [fixer.id, 'update', 3, 'rolled back'],
      [scout.id, 'delete', 1, 'done'],
    ],
    'what changed',
  )
  const [drop, pivot] = report.stopped.commands
  assert.deepEqual(
    [drop?.verb, drop?.rules, drop?.refused?.code],
    ['drop', ['guard/no-drop'], 'SP_POLICY_BLOCKED'],
  )
  assert.match(pivot?.text ?? '', /dblink/)
  const kill = report.stopped.agents.find(({ what }) => what === 'agent.revoked')
  assert.equal(kill?.agent, fixer.id)
  assert.match(`${kill?.by} ${kill?.reason}`, /owner .*the scout went mad/)
  assert.ok(report.unknown.some(({ what }) => what.includes('refused before a session began')))
  assert.equal(report.proof.isVerified, true)
  assert.deepEqual(report.proof.findings, [])
}

/** Who has only the archive reads in it what the ledger says, and finds out where it was changed. */
async function ledgerFacts(folder: string, incident: IncidentView, actors: Attack): Promise<void> {
  const path = join(folder, 'ledger.jsonl')
  const text = await readFile(path, 'utf8')
  const facts = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { what: string; subject: string; actor: string })
  const has = (what: string, subject?: string): boolean =>
    facts.some((fact) => fact.what === what && subject === (subject && fact.subject))
  assert.ok(has('policies.loaded'), 'the policies that were in force')
  assert.ok(has('agent.born', actors.scout.id))
  assert.ok(has('credential.issued', actors.scout.id))
  assert.ok(has('agent.revoked', actors.fixer.id))
  assert.ok(has('connection.added', 'shop'))
  assert.ok(has('incident.opened', incident.id))
  assert.ok(!has('ledger.read'), 'and nothing that is not of it')
  const verify = async (): Promise<string> => {
    const run = promisify(execFile)(process.execPath, ['verify.mjs'], { cwd: folder })
    return await run.then(
      ({ stdout }) => stdout,
      (error: unknown) => `found ${String(Object(error).stdout)}`,
    )
  }
  assert.match(await verify(), new RegExp(`ledger\\.jsonl: ${facts.length} facts of 1 ledger`))
  await writeFile(path, text.replace('the scout went mad', 'the scout went bad'))
  assert.match(await verify(), /^found [^]*ledger\.jsonl: it was changed since it was signed/)
  await writeFile(path, `${text.split('\n').slice(1).join('\n')}`)
  assert.match(await verify(), /^found [^]*ledger\.jsonl: it was changed since it was signed/)
  await rm(path)
  assert.match(await verify(), /^found [^]*the facts that were signed are missing/)
  await writeFile(path, text)
}

suite('an incident is put together', { skip: skipReason() }, () => {
  test('all six questions are answered by command, and again from the unpacked archive alone', async () => {
    const away = await mkdtemp(join(tmpdir(), 'sallyport-evidence-'))
    try {
      await using gateway = await startTestGateway({ policy, seed })
      const actors = await attack(gateway)
      const session = await sessionOf(gateway, 'scout')
      const made = JSON.parse(
        await command(gateway, [
          'incident',
          'new',
          session,
          '--title',
          'customers read',
          '--since',
          '1h',
          '-o',
          'json',
        ]),
      ) as IncidentView
      assert.equal(made.sessions.length, 2, 'the whole tree')
      const asJson = JSON.parse(
        await command(gateway, ['incident', 'report', made.id, '--as', 'json']),
      ) as IncidentReport
      sixAnswers(asJson, actors)
      const markdown = await command(gateway, ['incident', 'report', made.id.slice(0, 8)])
      for (const each of ['1. Who', '2. What', '3. What', '4. What', '5. What', '6. What'])
        assert.ok(markdown.includes(`## ${each}`), each)
      assert.match(markdown, /\*\*Verified\.\*\*/)
      assert.match(markdown, /2 values masked, 1 clear\./)
      assert.doesNotMatch(markdown, /[^\P{Cc}\n]/u)
      assert.ok(!markdown.includes('ana@shop.example'))
      assert.match(await command(gateway, ['incident']), /customers read/)
      const zip = join(away, 'evidence.zip')
      await command(gateway, ['incident', 'report', made.id, '--as', 'zip', '--file', zip])
      using whole = sallyport(gateway, ['verify', zip])
      assert.equal(await whole.ended(), 0, whole.err)
      // From here on, nothing but the archive: the gateway and its data are of no use to who has only this.
      const folder = join(away, 'unpacked')
      for (const [name, bytes] of Object.entries(unzipSync(await readFile(zip)))) {
        await mkdir(dirname(join(folder, name)), { recursive: true })
        await writeFile(join(folder, name), bytes)
      }
      const verified = await promisify(execFile)(process.execPath, ['verify.mjs'], { cwd: folder })
      assert.match(verified.stdout, /2 recordings|2 sessions/)
      await ledgerFacts(folder, made, actors)
      const alone = JSON.parse(
        await readFile(join(folder, 'report.json'), 'utf8'),
      ) as IncidentReport
      sixAnswers(alone, actors)
      // And the report is no mere claim: the entries beside it say the same.
      let [commands, masked] = [0, 0]
      for (const name of await readdir(join(folder, 'entries'))) {
        const lines = (await readFile(join(folder, 'entries', name), 'utf8')).trim().split('\n')
        const entries = lines.map(
          (line) => (JSON.parse(line) as { entry: { kind: string; values?: number } }).entry,
        )
        commands += entries.filter(({ kind }) => kind === 'command').length
        masked += entries.reduce(
          (sum, each) => sum + (each.kind === 'masked' ? (each.values ?? 0) : 0),
          0,
        )
      }
      assert.equal(commands, alone.ran.commands.length)
      assert.equal(masked, 2)
      const readme = await readFile(join(folder, 'README.txt'), 'utf8')
      assert.match(readme, /report\.md .*six questions[^]*node verify\.mjs/)
      assert.match(await readFile(join(folder, 'report.md'), 'utf8'), /\*\*Verified\.\*\*/)
      const [segment] = (await readdir(join(folder, 'sessions'), { recursive: true })).filter(
        (name) => name.endsWith('.segment'),
      )
      const path = join(folder, 'sessions', segment ?? '')
      const bytes = await readFile(path)
      bytes[bytes.length - 9] = (bytes[bytes.length - 9] ?? 0) ^ 1
      await writeFile(path, bytes)
      await assert.rejects(promisify(execFile)(process.execPath, ['verify.mjs'], { cwd: folder }))
    } finally {
      await rm(away, { recursive: true, force: true })
    }
  })

  test('a report of recordings that were changed says so', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    await attack(gateway)
    const session = await sessionOf(gateway, 'scout')
    const id = (
      await command(gateway, ['incident', 'new', session, '--title', 'x', '-o', 'name'])
    ).trim()
    assert.match(await command(gateway, ['incident', 'report', id]), /\*\*Verified\.\*\*/)
    const store = join(gateway.dataDir, 'recordings', 'sessions', session)
    const [segment] = (await readdir(store, { recursive: true })).filter((name) =>
      name.endsWith('.segment'),
    )
    const path = join(store, segment ?? '')
    const copy = `${path}.kept`
    await cp(path, copy)
    const bytes = await readFile(path)
    bytes[bytes.length - 9] = (bytes[bytes.length - 9] ?? 0) ^ 1
    await writeFile(path, bytes)
    const markdown = await command(gateway, ['incident', 'report', id])
    assert.match(markdown, /\*\*NOT VERIFIED\.\*\*/)
    assert.match(markdown, /finding: `sessions\/s_/)
    await cp(copy, path)
    await rm(copy)
    assert.match(await command(gateway, ['incident', 'report', id]), /\*\*Verified\.\*\*/)
  })

  test('an incident of an agent or a search, with a time; what comes later is covered, and what is asked wrongly refused', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    const family = new AgentFamily(gateway)
    const { root, scout } = await attack(gateway)
    await sessionOf(gateway, 'scout')
    const create = async (body: object): Promise<{ status: number; view: IncidentView }> => {
      const answer = await gateway.api('POST', '/v1/incidents', body)
      return { status: answer.status, view: (await answer.json()) as IncidentView }
    }
    const ofScout = await create({ title: 't', of: scout.id.slice(0, 8) })
    assert.equal(ofScout.view.sessions.length, 1)
    const ofRoot = await create({ title: 't', of: root.id })
    assert.equal(ofRoot.view.sessions.length, 2)
    await until('the index has it', async () => {
      const { status, view } = await create({
        title: 't',
        of: 'verdict:blocked tree:scout',
        since: '1h',
      })
      return status === 201 && view.sessions.length === 1
    })
    const before = new Date(Date.now() - 3_600_000).toISOString()
    for (const body of [
      { title: '', of: root.id },
      { title: 't', of: 'nothing' },
      { title: 't', of: 's_nothing' },
      { title: 't', of: 'a_nothing' },
      { title: 't', of: 'tre:a' },
      { title: 't', of: root.id, since: 'soon' },
      { title: 't', of: root.id, since: '1h', until: '2h' },
      { title: 't', of: root.id, more: 1 },
      {},
    ])
      assert.equal((await create(body)).status, 400, JSON.stringify(body))
    assert.equal((await create({ title: 't', of: root.id, until: before })).status, 404)
    assert.equal((await gateway.api('GET', '/v1/incidents/in_nothing')).status, 404)
    assert.equal(
      (await gateway.api('GET', `/v1/incidents/${ofRoot.view.id}/report?as=html`)).status,
      400,
    )
    const holds = (await (await gateway.api('GET', '/v1/holds')).json()) as {
      kind: string
      subject: string
      reason: string
    }[]
    const held = (incident: IncidentView): string[] =>
      holds
        .filter(({ reason }) => reason.startsWith(`incident ${incident.id}`))
        .map(({ kind, subject }) => `${kind} ${subject}`)
    assert.deepEqual(held(ofRoot.view), [`tree ${root.id}`])
    assert.deepEqual(held(ofScout.view), [`tree ${scout.id}`])
    const limited = await create({ title: 't', of: root.id, since: '1h' })
    assert.equal(limited.view.sessions.length, 2)
    assert.equal(holds.filter(({ kind }) => kind === 'session').length, 1, 'what the search found')
    await until('the ledger tells of it', async () => {
      const answer = await gateway.api(
        'GET',
        `/v1/ledger?q=${encodeURIComponent(`what:incident.opened subject:${ofRoot.view.id}`)}`,
      )
      return ((await answer.json()) as { facts: unknown[] }).facts.length === 1
    })
    await psql(gateway, await family.url(root), `select 'later' as word`)
    await until('the later session is covered', async () => {
      const view = await (await gateway.api('GET', `/v1/incidents/${ofRoot.view.id}`)).json()
      return (view as IncidentView).sessions.length === 3
    })
  })

  test('a closed incident keeps what it covered and its hold, and is closed once', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    const family = new AgentFamily(gateway)
    const { root } = await attack(gateway)
    const session = await sessionOf(gateway, 'scout')
    const id = (
      await command(gateway, ['incident', 'new', session, '--title', 'x', '-o', 'name'])
    ).trim()
    const held = async (): Promise<string[]> => {
      const holds = (await (await gateway.api('GET', '/v1/holds')).json()) as {
        id: string
        subject: string
      }[]
      return holds.filter(({ subject }) => subject === root.id).map((each) => each.id)
    }
    const [hold = ''] = await held()
    const close = async (body: unknown): Promise<Response> =>
      await gateway.api('POST', `/v1/incidents/${id}/close`, body)
    for (const body of [
      {},
      { note: '' },
      { note: 'x'.repeat(501) },
      { note: 1 },
      { note: 'x', at: 1 },
    ])
      assert.equal((await close(body)).status, 400, JSON.stringify(body))
    assert.equal((await gateway.api('POST', '/v1/incidents/in_0/close', { note: 'x' })).status, 404)
    assert.match(await command(gateway, ['incident', '-o', 'table']), / open /)
    const said = await command(gateway, [
      'incident',
      'close',
      id,
      '-o',
      'table',
      '--note',
      'keys \u001B[1mrotated',
    ])
    assert.match(said, new RegExp(`closed by .*keys .*rotated[^]*held by ${hold}[^]*hold remove`))
    assert.ok(!said.includes('\u001B'))
    assert.equal((await close({ note: 'again' })).status, 400, 'once')
    await psql(gateway, await family.url(root), `select 'later' as word`)
    await until('a third session has ended', async () => {
      const rows = (await (await gateway.api('GET', '/v1/sessions')).json()) as {
        closedAt?: string
      }[]
      return rows.filter(({ closedAt }) => closedAt !== undefined).length === 3
    })
    const view = (await (await gateway.api('GET', `/v1/incidents/${id}`)).json()) as HeldIncident
    assert.equal(view.sessions.length, 2, 'what came later is not of it')
    assert.deepEqual(view.holds, [hold])
    assert.match(view.closed?.note ?? '', /rotated/)
    assert.match(await command(gateway, ['incident', '-o', 'table']), / closed /)
    assert.match(await command(gateway, ['incident', 'report', id]), /^Closed by .*rotated/mu)
    const facts = await gateway.api(
      'GET',
      `/v1/ledger?q=${encodeURIComponent('what:incident.closed')}`,
    )
    const [fact] = (
      (await facts.json()) as { facts: { subject: string; detail: { holds: number } }[] }
    ).facts
    assert.deepEqual([fact?.subject, fact?.detail.holds], [id, 1])
    await command(gateway, ['hold', 'remove', hold, '--reason', 'over'])
    await until('the ledger is read that says so', async () => (await held()).length === 0)
    assert.match(await command(gateway, ['incident', 'show', id, '-o', 'table']), /held by nothing/)
  })
})
