import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { skipReason } from '@sallyport/testkit'
import { LAYERS } from '../tools/layers.ts'
import { psql } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: guard}
spec:
  owner: group:test
  rules:
    - name: mask
      on: sql
      when: "true"
      effect: mask
      mask:
        - {columns: ["*.email"], with: partial}
        - {detect: [credit_card], with: last4}
    - name: no-drop
      on: sql
      when: op.verb == "drop"
      effect: block
      message: "Nothing is dropped."
`

const root = fileURLToPath(new URL('..', import.meta.url))

/** The parts whose source a data-plane process may hold, as the layer table says. */
const allowedSource = ['gateway/data-plane', ...(LAYERS['gateway/data-plane']?.parts ?? [])].map(
  (part) => {
    const [owner = '', folder] = part.split('/')
    return `packages/${owner}/src/${folder === undefined ? '' : `${folder}/`}`
  },
)

/** Writes down each module that is looked up in a process or one of its threads, whoever imports or requires it. */
const recorder = (file: string): string =>
  `import { registerHooks } from 'node:module'
import { appendFileSync } from 'node:fs'
registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context)
    appendFileSync(${JSON.stringify(file)}, found.url + '\\n')
    return found
  },
})`

suite('a worker process', { skip: skipReason(), timeout: 120_000 }, () => {
  let gateway: TestGateway
  let folder: string
  let loaded: string[]

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-modules-'))
    const list = join(folder, 'modules')
    const options = process.env['NODE_OPTIONS']
    const preload = `data:text/javascript,${encodeURIComponent(recorder(list))}`
    process.env['NODE_OPTIONS'] = `--import ${preload}`
    try {
      gateway = await startTestGateway({ policy, seed: 'create table people(email text)' })
      await useEverything(gateway)
    } finally {
      if (options === undefined) delete process.env['NODE_OPTIONS']
      else process.env['NODE_OPTIONS'] = options
    }
    loaded = [...new Set((await readFile(list, 'utf8')).trim().split('\n'))]
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  test('loads no package but those of the layer table and what these need', () => {
    const packages = loaded.flatMap((url) => packageOf(url) ?? [])
    for (const name of ['libpg-query', 'pino', 're2js', '@marcbachmann/cel-js'])
      assert.ok(packages.includes(name), `${name} was not seen, so the list can't be whole`)
    const allowed = withDependencies(LAYERS['gateway/data-plane']?.libraries ?? [])
    const strangers = (names: readonly string[]): string[] => [
      ...new Set(names.filter((name) => !allowed.has(name))),
    ]
    assert.deepEqual(strangers(packages), [])
    assert.deepEqual(strangers([...packages, 'pg', 'hono']), ['pg', 'hono'])
  })

  test('loads nothing of the control plane', () => {
    const files = loaded.flatMap((url) => sourceOf(url) ?? [])
    for (const file of ['worker-main.ts', 'protocols/postgres/classify/classify-worker.ts'])
      assert.ok(files.includes(`packages/gateway/src/data-plane/${file}`), `${file} was not seen`)
    const strangers = (names: readonly string[]): string[] =>
      names.filter((file) => !allowedSource.some((folder) => file.startsWith(folder)))
    assert.deepEqual(strangers(files), [])
    const planted = ['packages/gateway/src/control-plane/api.ts', 'packages/gateway/src/main.ts']
    assert.deepEqual(strangers(planted), planted)
  })
})

/** Walks the paths that might load something late: masks, refusals, errors, COPY, a large statement on a thread. */
async function useEverything(gateway: TestGateway): Promise<void> {
  const large = `select 1 where 'x' <> '${'x'.repeat(600_000)}'`
  const statements = [
    'select email from people',
    'drop table people',
    'selct',
    'copy people to stdout',
  ]
  const { out, err } = await psql(
    await gateway.url(),
    ...statements.flatMap((sql) => ['-c', sql]),
    '-c',
    'select 7',
  )
  assert.match(out, /^7$/m)
  assert.match(err, /Nothing is dropped/)
  const { user, secret } = await gateway.credential()
  const db = new Client({
    host: '127.0.0.1',
    port: gateway.gateway.ports.postgres,
    user,
    password: secret,
    database: 'postgres',
    ssl: { rejectUnauthorized: false },
  })
  await db.connect()
  assert.equal((await db.query(large)).rowCount, 1)
  await db.end()
}

function packageOf(url: string): string | undefined {
  const [, path] = /^file:.*\/node_modules\/(.*)$/.exec(url) ?? []
  if (path === undefined) return undefined
  return path
    .split('/')
    .slice(0, path.startsWith('@') ? 2 : 1)
    .join('/')
}

/** The path of a file of this repository. A linked package is resolved to its source before it is seen. */
function sourceOf(url: string): string | undefined {
  if (!url.startsWith('file:') || packageOf(url) !== undefined) return undefined
  const path = relative(root, fileURLToPath(url))
  return path.startsWith('..') ? undefined : path
}

function withDependencies(libraries: readonly string[]): Set<string> {
  const names = new Set(libraries.filter((name) => !name.startsWith('node:')))
  for (const name of names) {
    const manifest = join(root, 'node_modules', name, 'package.json')
    if (!existsSync(manifest)) continue
    const { dependencies = {} } = JSON.parse(readFileSync(manifest, 'utf8')) as {
      dependencies?: Record<string, string>
    }
    for (const dependency of Object.keys(dependencies)) names.add(dependency)
  }
  return names
}
