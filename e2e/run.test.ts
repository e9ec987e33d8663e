import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { skipReason, until } from '@sallyport/testkit'
import { loadSystemCalls } from '../packages/cli/src/broker/system-calls.ts'
import { LocalIssuer } from '../packages/gateway/src/control-plane/births/local-issuer.fixture.ts'
import {
  consentId,
  TestBrowser,
} from '../packages/gateway/src/control-plane/births/test-browser.fixture.ts'
import { grantTo, startPeople } from './people.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const bin = fileURLToPath(new URL('../packages/cli/bin/sallyport.mjs', import.meta.url))
const calls = await loadSystemCalls()
const skip = typeof calls === 'string' ? calls : skipReason()
/** One tree a job: the root holds it together, the job is its child. */
const nightly = `apiVersion: sallyport.dev/v1
kind: Service
metadata: {name: nightly}
spec: {jwksFile: nightly.jwks.json, owner: "group:ops"}
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: nightly}
spec: {to: ["service:nightly"], on: [{connections: ["shop"]}], allow: [rw], delegate: {depth: 2}}
`
const trustRule = (issuer: string): string => `apiVersion: sallyport.dev/v1
kind: TrustRule
metadata: {name: ci}
spec:
  issuer: ${issuer}
  match: {project_id: "551122"}
  root: {key: [job], name: "job-{job}"}
  owner: group:release
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: ci}
spec: {to: ["trust:ci"], on: [{connections: ["shop"]}], allow: [rw], delegate: {depth: 2, children: 4}}
`
const terminalMs = 60_000
const secretForm = /sp[act]_[0-9a-hjkmnp-tv-z]{13}_/

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

describe('programs that "sallyport run" starts', { skip }, () => {
  let gw: TestGateway
  let home: string
  let folder: string
  before(async () => {
    gw = await startTestGateway({})
    home = await mkdtemp(join(tmpdir(), 'sp-'))
    folder = join(home, 'rt', 'sallyport')
    mkdirSync(join(home, 'rt'))
    const script = `#!/bin/sh\nexport XDG_RUNTIME_DIR=${home}/rt SALLYPORT_DATA=${gw.dataDir}\nexec ${process.execPath} --conditions=@sallyport/source ${bin} "$@"\n`
    mkdirSync(join(home, 'bin'))
    writeFileSync(join(home, 'bin', 'sallyport'), script)
    chmodSync(join(home, 'bin', 'sallyport'), 0o755)
  })
  after(async () => {
    stopBroker('SIGTERM')
    await gw[Symbol.asyncDispose]()
    rmSync(home, { recursive: true, force: true })
  })

  /** A shell that leads a session of its own, as that of a new terminal does. */
  const bare = async (script: string): Promise<Ran> => {
    const path = [join(home, 'bin'), dirname(process.execPath), process.env['PATH']].join(delimiter)
    const shell = spawn('bash', ['-c', script], {
      cwd: home,
      detached: true,
      env: { PATH: path, HOME: home, PGPASSWORD: 'from-outside', LANG: 'C.UTF-8' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const timer = setTimeout(() => process.kill(-(shell.pid ?? 0), 'SIGKILL'), terminalMs)
    const code = new Promise<number>((resolve) => shell.on('exit', (exit) => resolve(exit ?? -1)))
    const [out, err] = await Promise.all([text(shell.stdout), text(shell.stderr)])
    clearTimeout(timer)
    return { code: await code, out, err }
  }
  const terminal = async (script: string): Promise<Ran> =>
    await bare(`sallyport login -o name >/dev/null || exit 99\n${script}`)
  const brokerPid = (): number =>
    Number(readFileSync(join(folder, 'broker.lock'), 'utf8').split(' ')[0])
  const stopBroker = (signal: NodeJS.Signals): void => {
    if (!existsSync(join(folder, 'broker.lock'))) return
    const pid = brokerPid()
    // What the folder names may be gone already.
    if (existsSync(`/proc/${pid}`)) process.kill(pid, signal)
  }
  /** Whose a session was, as the gateway says at its start. */
  const chains = (ran: Ran): string[] =>
    [...ran.err.matchAll(/Sallyport: shop as (.*?), session/g)].map((match) => match[1] ?? '')

  test('need somebody who is logged in', async () => {
    const ran = await bare('sallyport run --name scout -- true')
    assert.deepEqual([ran.code, ran.out], [77, ''])
    assert.match(ran.err, /"code":"SP_NO_PARENT"/)
  })

  test('reach a database through a socket, as what they are', async () => {
    const ran = await terminal(
      'sallyport run --name planner --for "fix 4412" -- psql -Atc "select 40 + 2"',
    )
    assert.deepEqual([ran.code, ran.out], [0, '42\n'], ran.err)
    assert.match(chains(ran)[0] ?? ran.err, /^\S+ › planner \(L3\)$/)
    assert.match(ran.err, /not passed on: PGPASSWORD/)
  })

  test('are children of the program that calls, four deep', async () => {
    const ran = await terminal(
      'sallyport run --name a -- sallyport run --name b -- sallyport run --name c -- sallyport run --name d -- psql -Atc "select 4"',
    )
    assert.equal(ran.out, '4\n', ran.err)
    assert.match(chains(ran)[0] ?? '', / › a › b › c › d \(L3\)$/)
  })

  test('stay who they are, whatever they do to their variables and their session', async () => {
    const leaf = 'sallyport run --name leaf -- psql -Atc "select 1"'
    const ways = {
      unset: `env -u SALLYPORT_AGENT -u SALLYPORT_DIR -u PGHOST ${leaf}`,
      'env -i': `env -i "$(command -v sallyport)" run --name leaf -- psql -Atc "select 1"`,
      'forged variables': `SALLYPORT_AGENT=a_0000000000000 SALLYPORT_DIR=/nowhere ${leaf}`,
      setsid: `setsid -w ${leaf}`,
      'double fork': `(setsid sh -c '${leaf}; touch done' &); until test -e done; do sleep 0.1; done; rm done`,
    }
    for (const [way, command] of Object.entries(ways)) {
      writeFileSync(join(home, 'way.sh'), `${command}\n`)
      const ran = await terminal('sallyport run --name top -- sh way.sh')
      assert.match(chains(ran)[0] ?? ran.err, /^\S+ › top › leaf \(L3\)$/, way)
      assert.equal(ran.out, '1\n', way)
    }
  })

  test('are nobody where no agent is above them, or under another user', async (t) => {
    const outside = await bare('sallyport run --name scout -- true')
    assert.deepEqual([outside.code, /SP_NO_PARENT/.test(outside.err)], [77, true], outside.err)
    if (process.getuid?.() !== 0) return t.diagnostic('another user can only be tried by root')
    const other = 'setpriv --reuid 65534 --regid 65534 --clear-groups'
    const ran = await terminal(
      `chmod 755 . rt; sallyport run --name top -- sh -c '${other} psql -c "select 1"; ${other} sallyport run --name x -- true; echo $?'`,
    )
    assert.match(ran.err, /Permission denied/)
    assert.match(ran.err, /SP_NO_PARENT/)
    assert.equal(ran.out, '77\n')
  })

  test('find no secret in any environment, argument or file', async () => {
    const ran = await terminal(
      `sallyport run --name a -- sallyport run --name b -- sh -c 'env; psql -Atc "select pg_sleep(1)" >/dev/null & sleep 0.7; for p in /proc/[0-9]*; do grep -qs SALLYPORT_AGENT $p/environ || continue; tr "\\0" "\\n" <$p/environ; tr "\\0" "\\n" <$p/cmdline; done 2>/dev/null; cat ${folder}/*/* 2>/dev/null; wait'`,
    )
    assert.match(ran.out, /PGHOST=.*\/shop/)
    assert.doesNotMatch(ran.out, /PGPASSWORD/)
    assert.doesNotMatch(ran.out, secretForm)
    assert.doesNotMatch(ran.err, secretForm)
  })

  test('give their exit code, and the descriptor says whose it was', async () => {
    const cases = {
      'sh -c "exit 7"': 7,
      'sh -c "kill -TERM \\$\\$"': 143,
      'no-such-program': 127,
      '/etc/passwd': 126,
    }
    for (const [command, code] of Object.entries(cases)) {
      assert.equal((await terminal(`sallyport run --name x -- ${command}`)).code, code, command)
    }
    const told = await terminal('sallyport run --name x --status-fd 3 -- sh -c "exit 3" 3>&1')
    assert.equal(Reflect.get(JSON.parse(told.out) as object, 'kind'), 'command')
    const refused = await bare('sallyport run --name x --status-fd 3 -- true 3>&1')
    assert.equal(Reflect.get(JSON.parse(refused.out) as object, 'kind'), 'refused')
  })

  test('are stopped by the key that stops psql', async () => {
    const ran = await terminal(
      'sallyport run --name a -- timeout -s INT 1 psql -c "select pg_sleep(30)"',
    )
    assert.match(ran.err, /canceling statement due to user request/)
  })

  test('are cut off while they work when their agent is killed, and read why', async () => {
    const running = terminal(
      'sallyport run --name victim -- sh -c \'echo $SALLYPORT_AGENT >victim; psql -c "select pg_sleep(30)"; psql -c "select 1"\'',
    )
    await until('the victim runs', () => existsSync(join(home, 'victim')))
    await until('the statement runs', async () =>
      (
        await gw.postgres.sql(
          "select count(*) from pg_stat_activity where query like '%pg_sleep(30)%' and pid <> pg_backend_pid()",
        )
      ).includes('1'),
    )
    const killed = await terminal('sallyport kill $(cat victim) --reason runaway')
    assert.equal(killed.code, 0, killed.err)
    assert.equal(Reflect.get(JSON.parse(killed.out) as object, 'state'), 'closed')
    const { err } = await running
    assert.equal(err.match(/FATAL: {2}Sallyport: this agent was revoked/g)?.length, 2, err)
    assert.match(err, /runaway/)
  })

  test('cannot climb: what an ended agent leaves behind is not its parent', async () => {
    const climb = `sh -c "sleep 1; sallyport run --name climb -- psql -c select"`
    const ways = {
      'a process that outlives its agent': `sallyport run --name b -- sh -c '(setsid ${climb} >out 2>&1 &)'; sleep 3`,
      'a wrapper that was killed': `sallyport run --name b -- sh -c '(setsid ${climb} >out 2>&1 &); sleep 0.3; kill -9 $PPID'; sleep 3`,
    }
    for (const [way, command] of Object.entries(ways)) {
      writeFileSync(join(home, 'climb.sh'), `${command}\n`)
      await terminal('sallyport run --name a -- sh climb.sh')
      const seen = readFileSync(join(home, 'out'), 'utf8')
      assert.match(seen, /"code":"SP_AGENT_ENDED"/, way)
    }
  })

  test("are refused at another agent's socket, and frozen for it", async () => {
    const victim = terminal(
      `sallyport run --name keeper -- sh -c 'echo $PGHOST >socket; until test -e tried; do sleep 0.1; done; psql -Atc "select 5"'`,
    )
    await until('the keeper runs', () => existsSync(join(home, 'socket')))
    const thief = await terminal(
      `sallyport run --name thief -- sh -c 'PGHOST=$(cat socket) psql -c "select 1"; sleep 0.5; psql -c "select 2"'; touch tried`,
    )
    assert.match(thief.err, /S5: this socket belongs to another agent/)
    assert.match(thief.err, /frozen/)
    assert.equal((await victim).out, '5\n')
  })

  test('of a child stay the child at the socket of its parent', async () => {
    const ran = await terminal(
      `sallyport run --name a -- sh -c 'export SOCKET=$PGHOST; sallyport run --name b -- sh -c "PGHOST=\\$SOCKET psql -Atc \\"select 6\\""'`,
    )
    assert.match(chains(ran)[0] ?? ran.err, / › a › b \(L3\)$/)
  })

  test("cannot become the person: login, the owner's credentials and the owner's lists are refused", async () => {
    for (const verb of ['login', 'logout', 'credential', 'sessions', 'connections']) {
      const ran = await terminal(`sallyport run --name a -- sallyport ${verb}`)
      assert.deepEqual([ran.code, ran.out], [77, ''], verb)
      assert.match(ran.err, /"code":"SP_LOGIN_INSIDE_AGENT"/, verb)
    }
  })

  test('hold no more than was asked for, and ask for no more than there is', async () => {
    const ran = await terminal(
      `sallyport run --name a --allow 'shop:read' -- sallyport run --name b --allow 'shop:read,ddl' -- true`,
    )
    assert.deepEqual([ran.code, /SP_GRANT_EXCEEDS_PARENT/.test(ran.err)], [4, true], ran.err)
    const ddl = await terminal(
      `sallyport run --name a --allow 'shop:read' -- psql -c 'create table t (a int)'`,
    )
    assert.match(ddl.err, /not in your grant|not in the grant/)
  })

  test('may be started by others: spawn prints sockets, and a ticket makes a child elsewhere', async () => {
    const spawned = await terminal(
      `sallyport run --name boss -- sh -c 'D=$(sallyport spawn --name worker --json | tee /dev/stderr | sed "s/.*\\"PGHOST\\":\\"\\([^\\"]*\\).*/\\1/"); PGHOST=$D psql -Atc "select 7"'`,
    )
    assert.equal(spawned.out, '7\n', spawned.err)
    assert.match(chains(spawned)[0] ?? '', / › boss › worker \(L2\)$/)
    assert.doesNotMatch(spawned.err, secretForm)
    const joined = await terminal(
      `sallyport run --name boss -- sallyport ticket --name scout -o name >ticket; sallyport join -- psql -Atc "select 8" <ticket`,
    )
    assert.match(joined.err, /SP_TICKET_SPENT|SP_AGENT_ENDED/, 'a ticket dies with its parent')
    const alive = await terminal(
      `sallyport run --name boss -- sh -c 'sallyport ticket --name scout -o name >ticket; sallyport join -- psql -Atc "select 8" <ticket; sallyport join -- true <ticket; echo $?'`,
    )
    assert.equal(alive.out, '8\n3\n', alive.err)
    assert.match(chains(alive)[0] ?? '', / › boss › scout \(L3\)$/)
  })

  test('join with the token that the platform made for their job', async () => {
    const issuer = await LocalIssuer.open()
    try {
      mkdirSync(join(gw.dataDir, 'identity'), { recursive: true })
      writeFileSync(join(gw.dataDir, 'identity', 'ci.yaml'), trustRule(issuer.url))
      await until('the rule is in force', () =>
        gw.events.some((event) => event.kind === 'identity.read' && event.problems === ''),
      )
      const aud = `http://127.0.0.1:${gw.gateway.ports.api}`
      const claims = { aud, sub: 'x', jti: 'j1', job: '77', project_id: '551122' }
      const token = await issuer.token(claims)
      const ran = await bare(
        `export JOB_TOKEN=${token}; sallyport join --id-token-env JOB_TOKEN -- sh -c 'psql -Atc "select 10"; env | grep -c JOB_TOKEN; sallyport run --name step -- psql -Atc "select 11"'; sallyport join --id-token-env NONE -- true; echo $?`,
      )
      assert.equal(ran.out, '10\n0\n11\n2\n', ran.err)
      assert.deepEqual(chains(ran), ['job-77 › job (L3)', 'job-77 › job › step (L3)'])
    } finally {
      await issuer.close()
    }
  })

  test('join as a service that holds a key, and not with another key', async () => {
    const folder = join(gw.dataDir, 'identity')
    mkdirSync(folder, { recursive: true })
    for (const name of ['nightly', 'stranger']) {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const pem = privateKey.export({ format: 'pem', type: 'pkcs8' })
      writeFileSync(join(home, `${name}.pem`), pem, { mode: 0o600 })
    }
    const keySet = await bare('sallyport service-key nightly.pem -o json')
    assert.doesNotMatch(keySet.out, /"d"/)
    writeFileSync(join(folder, 'nightly.jwks.json'), keySet.out)
    writeFileSync(join(folder, 'services.yaml'), nightly)
    const ran = await until('the service is in force', async () => {
      const tried = await bare(
        `sallyport join --service nightly --key nightly.pem -- sh -c 'psql -Atc "select 13"; sallyport run --name step -- psql -Atc "select 14"'`,
      )
      return tried.code === 0 ? tried : undefined
    })
    assert.equal(ran.out, '13\n14\n', ran.err)
    assert.deepEqual(chains(ran), ['nightly (L3)', 'nightly › step (L3)'])
    const stranger = await bare('sallyport join --service nightly --key stranger.pem -- true')
    assert.equal(stranger.code, 3)
    assert.match(stranger.err, /SP_TOKEN_REFUSED/)
    assert.equal((await bare('sallyport join --service nightly -- true')).code, 2)
  })

  test('belong to a person who logged in through the identity provider', async () => {
    const { provider, url } = await startPeople(gw, grantTo('dev', 'rw'))
    try {
      provider.account = { email: 'dana@example.com', email_verified: true, groups: ['dev'] }
      const running = bare(
        'sallyport login --oidc --device --no-browser -o name 2>code >/dev/null && sallyport run --name scout -- psql -Atc "select 12"',
      )
      const code = await until('a code is shown', () => {
        const shown = existsSync(join(home, 'code')) ? readFileSync(join(home, 'code'), 'utf8') : ''
        return /enter {2}(\S+)/.exec(shown)?.[1]
      })
      const overNetwork: unknown = { request: async (asked: Request) => await fetch(asked) }
      const routes = overNetwork as ConstructorParameters<typeof TestBrowser>[1]
      const browser = new TestBrowser(url, routes)
      const page = await browser.visit(`${url}/device`, [provider.url], { user_code: code })
      const form = { id: consentId(page), decision: 'allow' }
      await browser.visit(`${url}/login/confirm`, [provider.url], form)
      const ran = await running
      assert.equal(ran.out, '12\n', ran.err)
      assert.match(chains(ran)[0] ?? '', /^dana\S* › scout \(L3\)$/)
    } finally {
      await provider.close()
    }
  })

  test('hear of it when the broker dies, and become nobody', async () => {
    const running = terminal(
      `sallyport run --name a -- sh -c 'touch up; until test -e killed; do sleep 0.1; done; sleep 0.3; psql -c "select 1"; sallyport run --name b -- true; echo $?; sallyport login; echo $?'`,
    )
    await until('the agent runs', () => existsSync(join(home, 'up')))
    stopBroker('SIGKILL')
    writeFileSync(join(home, 'killed'), '')
    const { out, err, code } = await running
    assert.match(err, /the broker is gone/)
    assert.match(err, /Connection refused/)
    assert.deepEqual([out, code], ['77\n77\n', 0], err)
    assert.ok(readdirSync(folder).some((name) => name.startsWith('a_')))
    const again = await terminal('sallyport run --name a -- psql -Atc "select 9"')
    assert.equal(again.out, '9\n', again.err)
  })
})
