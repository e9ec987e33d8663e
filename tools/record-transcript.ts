import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { encodeQuery } from '@sallyport/wire'
import { startPostgres } from '@sallyport/testkit'
import { benignSeed, everydayTurns, takeTurn } from '../e2e/benign-workload.ts'
import { allFrames, RecordingRelay } from '../e2e/recording-relay.ts'
import { WireCaller } from '../e2e/wire-caller.ts'

/**
 * Records the messages of a conversation with a real server, both ways, for the codec's tests.
 *
 *     npm run record:transcript
 *     SALLYPORT_TEST_SERVER=/folder/of/programs npm run record:transcript
 *     npm run record:transcript -- postgresql://user:password@127.0.0.1:5432
 *
 * Without a URL it starts the server that is installed, or the one that is named. With one it makes tables in the database
 * `postgres` there, and drops them again; the password ends up in the file only as SCRAM's proof of it, so it should be one
 * that is used for nothing else.
 */
const url = process.argv[2] === undefined ? undefined : new URL(process.argv[2])
const own = url === undefined ? await startOwn() : undefined
const door = own?.door ?? {
  port: Number(url?.port ?? 5432),
  user: decodeURIComponent(url?.username ?? ''),
  password: decodeURIComponent(url?.password ?? ''),
}

try {
  await run(door, [benignSeed])
  const relay = await RecordingRelay.before(door.port)
  {
    await using caller = await WireCaller.open({ ...door, port: relay.port })
    for (const turn of everydayTurns) await takeTurn(caller, turn)
  }
  await run(door, ['drop table ledger, scratch, secrets'])
  const [recorded] = relay.connections
  if (recorded === undefined) throw new Error('nothing went through the relay')
  await relay[Symbol.asyncDispose]()
  const frames = allFrames(recorded)
  const version = versionOf(recorded.fromTarget)
  const file = new URL(
    `../packages/wire/src/postgres/testdata/postgresql-${version}.transcript`,
    import.meta.url,
  )
  const lines = frames.map(({ from, bytes }) => `${from} ${bytes.toString('base64')}`)
  const head = `# PostgreSQL ${version}: each message of one session, base64, as npm run record:transcript wrote it`
  writeFileSync(file, [head, ...lines, ''].join('\n'))
  process.stdout.write(
    `${fileURLToPath(file)}: ${lines.length} messages, ${readFileSync(file).length} bytes\n`,
  )
} finally {
  await own?.stop()
}

async function startOwn(): Promise<{
  door: { port: number; user: string; password: string }
  stop: () => Promise<void>
}> {
  const login = { name: 'app', auth: 'scram-sha-256', password: 'app-password' } as const
  const server = await startPostgres({ users: [{ ...login, superuser: true }] })
  const door = { port: server.port, user: login.name, password: login.password }
  return { door, stop: () => server.stop() }
}

async function run(to: typeof door, statements: readonly string[]): Promise<void> {
  await using caller = await WireCaller.open(to)
  for (const statement of statements) await takeTurn(caller, { send: [encodeQuery(statement)] })
}

/** The major version, from the ParameterStatus that every login sends. */
function versionOf(fromTarget: Buffer): string {
  const found = /server_version\0(\d+)/.exec(fromTarget.toString('latin1'))?.[1]
  if (found === undefined) throw new Error('the server did not say its version')
  return found
}
