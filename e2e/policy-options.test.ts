import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import { readPolicyFiles } from '../packages/gateway/src/control-plane/policies/load-policy-folder.ts'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { ApprovalCalls } from './approval-calls.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

/** A value as YAML, which takes JSON. */
type Value = string | number | boolean | readonly Value[] | { readonly [key: string]: Value }
type Document = { [key: string]: Value }

/**
 * An option of a policy file, with two values for it, and what a caller sees by each. Where the option were ignored, by its reader
 * or by anything behind that, both would see the same, and the test fails.
 */
interface Bite {
  readonly document?: Document
  readonly values: readonly [Value, Value]
  readonly see: (world: World) => Promise<string>
  readonly seen: readonly [RegExp, RegExp]
}

const rule = { name: 'r', on: 'sql', when: 'true', effect: 'block', message: 'It says no.' }
const asks = {
  ...rule,
  when: '"delete" in op.classes',
  effect: 'approve',
  approve: { from: ['owner'], offer: ['once', 'shape-30m'], selfRoot: 'allow' },
}
const masks = {
  name: 'r',
  on: 'sql',
  when: 'true',
  effect: 'mask',
  mask: [{ columns: ['people.email'], with: 'redact' }],
}
const detects = { ...masks, mask: [{ detect: ['email'], with: 'redact' }] }
const of = (...rules: Document[]): Document => ({
  apiVersion: 'sallyport.dev/v1',
  kind: 'Policy',
  metadata: { name: 'p' },
  spec: { rules },
})
/** The same demand, made by a default where no rule has matched. */
const byDefault: Document = {
  ...of(),
  spec: { defaults: { unmatched: 'approve', approve: asks.approve }, rules: [] },
}

const reads = async ({ client }: World): Promise<string> => await result(client, 'select 1 as one')
const readsUnknown = async ({ client }: World): Promise<string> =>
  await result(client, 'select nobody_knows(1)')
const readsPeople = async ({ client }: World): Promise<string> =>
  await result(client, 'select name, email from people')
const opens = async ({ family, agent }: World): Promise<string> =>
  await family.session(agent).then(
    async (opened) => {
      await opened.end()
      return 'opened'
    },
    ({ message }: Error) => message,
  )
const owner = async ({ client, gateway }: World): Promise<string> => {
  const { hint = '' } = await client.query('select 1').then(
    () => ({}) as { hint?: string },
    (error: { hint?: string }) => error,
  )
  const decision = /d_\w+/.exec(hint)?.[0] ?? ''
  return await until('it is explained', async () => {
    const response = await gateway.api('GET', `/v1/decisions/${decision}`)
    return response.ok ? await response.text() : false
  })
}

/** Has a delete held, does something about it, and says how it went on. */
const held =
  (act: (world: World, id: string) => Promise<string>) =>
  async (world: World): Promise<string> => {
    const { calls, family, agent } = world
    const client = await family.session(agent)
    const ran = result(client, 'delete from t where id = 0')
    const asked = until('it waits', async () => (await calls.list('pending'))[0])
    asked.catch(() => undefined)
    const view = await Promise.race([asked, ran])
    const said = typeof view === 'string' ? view : await act(world, view.id)
    for (const { id } of await calls.list('pending')) await calls.tryAnswer(id, 'deny')
    // Whatever still waits is withdrawn with its caller.
    const { connection } = client as unknown as { connection: { stream: { destroy(): void } } }
    connection.stream.destroy()
    await until('nothing waits', async () => (await calls.list('pending')).length === 0)
    return said
  }
const answers = (body: Document = {}): Bite['see'] =>
  held(async ({ gateway }, id) => {
    const response = await gateway.api('POST', `/v1/approvals/${id}/answer`, {
      decision: 'approve',
      ...body,
    })
    const { state = '', error } = (await response.json()) as { state?: string; error?: unknown }
    return `${state} ${JSON.stringify(error ?? '')}`
  })
const waits = held(async ({ calls }, id) => {
  const { askedAt, until: end } = await calls.get(id)
  return `${Math.round((Date.parse(end) - Date.parse(askedAt)) / 1000)} s`
})
const chats = held(async ({ calls }, id) => {
  const { demands: asked } = await calls.get(id)
  return `chat ${asked[0]?.chatRowsMax ?? 'off'}`
})
/** Approves by shape, and says whether the next one of its shape is asked for. */
const byShape: Bite['see'] = async (world) => {
  const ran = await answers({ shape: '30m' })(world)
  if (!ran.includes('used')) return ran
  const next = await held(async () => await Promise.resolve('asked'))(world)
  const shapes = (await (await world.gateway.api('GET', '/v1/approvals/shapes')).json()) as {
    id: string
  }[]
  for (const { id } of shapes)
    await world.gateway.api('POST', `/v1/approvals/shapes/${id}/withdraw`)
  return next
}

/** What a demand says, wherever it stands. */
const demands: Readonly<Record<string, Omit<Bite, 'document'>>> = {
  from: {
    values: [['owner'], ['user:maria']],
    see: answers(),
    seen: [/used/, /no rule of this request names/],
  },
  count: { values: [1, 2], see: answers(), seen: [/used/, /pending/] },
  within: { values: ['5m', '7m'], see: waits, seen: [/^300 s/, /^420 s/] },
  offer: {
    values: [['once'], ['shape-30m']],
    see: answers(),
    seen: [/used/, /offers shape-30m, not once/],
  },
  'shape.maxRows': { values: [1000, 0], see: byShape, seen: [/^DELETE/, /asked/] },
  // What a chat makes of it stands in the tests of channels.
  'chat.maxRows': { values: [1000, 0], see: chats, seen: [/^chat 1000$/, /^chat 0$/] },
  selfRoot: { values: ['allow', 'deny'], see: answers(), seen: [/used/, /own tree/] },
  wait: { values: ['hold', 'return'], see: answers(), seen: [/used/, /approved|waiting for ap_/] },
}

const bites: Readonly<Record<string, Bite>> = {
  apiVersion: {
    values: ['sallyport.dev/v1', 'sallyport.dev/v9'],
    see: reads,
    seen: [/It says no/, /refused/],
  },
  kind: { values: ['Policy', 'Polecat'], see: reads, seen: [/It says no/, /refused/] },
  'metadata.name': { values: ['p', 'q'], see: owner, seen: [/"p\/r"/, /"q\/r"/] },
  'spec.owner': {
    values: ['group:dba', 'group:sre'],
    see: owner,
    seen: [/group:dba/, /group:sre/],
  },
  'spec.mode': { values: ['enforce', 'observe'], see: reads, seen: [/It says no/, /^SELECT/] },
  'spec.applies.connections': {
    values: [['shop'], ['other']],
    see: reads,
    seen: [/It says no/, /^SELECT/],
  },
  'spec.applies.labels': {
    values: [{ env: 'prod' }, { env: 'dev' }],
    see: reads,
    seen: [/It says no/, /^SELECT/],
  },
  'spec.applies.to': {
    values: [[], ['group:nobody']],
    see: reads,
    seen: [/It says no/, /^SELECT/],
  },
  'spec.defaults.unmatched': {
    document: of(),
    values: ['block', 'allow'],
    see: reads,
    seen: [/SP_|policy|block/i, /^SELECT/],
  },
  'spec.defaults.unknown': {
    document: of(),
    values: ['block', 'allow'],
    see: readsUnknown,
    seen: [/unknown|understood|told/i, /does not exist/],
  },
  'spec.rules.name': { values: ['r', 's'], see: owner, seen: [/"p\/r"/, /"p\/s"/] },
  'spec.rules.on': {
    values: ['sql', 'session'],
    see: opens,
    seen: [/opened/, /blocked by a rule/],
  },
  'spec.rules.when': { values: ['true', 'false'], see: reads, seen: [/It says no/, /^SELECT/] },
  'spec.rules.effect': { values: ['block', 'allow'], see: reads, seen: [/It says no/, /^SELECT/] },
  'spec.rules.message': { values: ['One.', 'Two.'], see: reads, seen: [/One\./, /Two\./] },
  'spec.rules.coversUnknown': {
    document: of({ name: 'r', on: 'sql', when: 'true', effect: 'allow' }),
    values: [true, false],
    see: readsUnknown,
    seen: [/does not exist/, /unknown|understood|told/i],
  },
  'spec.rules.observe': { values: [false, true], see: reads, seen: [/It says no/, /^SELECT/] },
  'spec.rules.owner': {
    values: ['user:ann', 'user:bob'],
    see: owner,
    seen: [/user:ann/, /user:bob/],
  },
  'spec.rules.unresolved': {
    document: of(masks),
    values: ['mask', 'block'],
    see: async ({ client }) => await result(client, 'select x from nosuch'),
    seen: [/does not exist/, /can not be told/],
  },
  'spec.rules.inference': {
    document: of(masks),
    values: ['allow', 'block'],
    see: async ({ client }) =>
      await result(client, `select name from people where email like 'a%'`),
    seen: [/^SELECT/, /SP_MASKED_INFERENCE|masked/i],
  },
  'spec.rules.mask.columns': {
    document: of(masks),
    values: [['people.email'], ['people.name']],
    see: readsPeople,
    seen: [/"name":"ana"/, /"email":"ana@example.com"/],
  },
  'spec.rules.mask.detect': {
    document: of(detects),
    values: [['email'], ['credit_card']],
    see: readsPeople,
    seen: [/^SELECT (?!.*ana@example)/, /ana@example/],
  },
  'spec.rules.mask.with': {
    document: of(masks),
    values: ['redact', 'null'],
    see: readsPeople,
    seen: [/"email":"/, /"email":null/],
  },
  ...Object.fromEntries(
    Object.entries(demands).flatMap(([name, bite]) => [
      [`spec.rules.approve.${name}`, { ...bite, document: of(asks) }],
      [`spec.defaults.approve.${name}`, { ...bite, document: byDefault }],
    ]),
  ),
}

/** What the tests have: a gateway, an agent with a session, and who answers. */
interface World {
  readonly gateway: TestGateway
  readonly family: AgentFamily
  readonly calls: ApprovalCalls
  readonly agent: TestAgent
  readonly client: Client
}

suite('every option of a policy', { skip: skipReason(), timeout: 300_000 }, () => {
  let world: World
  let inForce = ''
  before(async () => {
    const gateway = await startTestGateway({
      policy: JSON.stringify(of()),
      seed: `create table t(id int primary key);
        insert into t select generate_series(1, 100);
        create table people(name text, email text);
        insert into people values ('ana', 'ana@example.com');
        analyze;`,
    })
    const family = new AgentFamily(gateway)
    const agent = await family.root({ allow: ['shop:*,unknown'] })
    const client = await family.session(agent)
    world = { gateway, family, calls: new ApprovalCalls(gateway), agent, client }
  })
  after(async () => {
    await world.client.end()
    await world.gateway[Symbol.asyncDispose]()
  })

  test('has a test here, and nothing else has', () => {
    const known = optionsBelow('', of(rule))
    assert.ok(known.length > 20, `only ${known.join(', ')}`)
    assert.deepEqual(Object.keys(bites).toSorted(), known.toSorted())
  })

  for (const [path, bite] of Object.entries(bites))
    test(`bites: ${path}`, async () => {
      for (const n of [0, 1] as const) {
        const text = JSON.stringify(withValue(bite.document ?? of(rule), path, bite.values[n]))
        const read = readPolicyFiles([{ file: 'p.yaml', text }])
        let seen = 'refused'
        if (read.kind === 'ok') {
          // What is in force already is no new version.
          if (text !== inForce) await world.calls.load(text)
          inForce = text
          seen = await bite.see(world)
        }
        assert.match(seen, bite.seen[n], `${path}: ${JSON.stringify(bite.values[n])}`)
        // Else a test could pass by an answer that both have.
        assert.doesNotMatch(
          seen,
          bite.seen[1 - n] ?? /^/,
          `${path}: ${JSON.stringify(bite.values[n])}`,
        )
      }
    })
})

/** The tag and the rows of a query, or why it failed. */
async function result(client: Client, text: string): Promise<string> {
  return await client.query(text).then(
    ({ command, rows }) => `${command} ${JSON.stringify(rows)}`,
    ({ message, detail, hint }: { message: string; detail?: string; hint?: string }) =>
      [message, detail, hint].join(' '),
  )
}

/** A field that no map has: its reader then says which ones it knows. */
const unheardOf = 'zzzzzzzzzzzzzzzz'

/** Paths of all options, as their readers know them: those of maps in maps, and of lists of maps. */
function optionsBelow(path: string, document: Document): string[] {
  const known = fieldsOf(path, document)
  if (known === undefined) return [path]
  return known.flatMap((name) => optionsBelow(path === '' ? name : `${path}.${name}`, document))
}

/** The fields of the map at a path; undefined where no map of known fields stands there. */
function fieldsOf(path: string, document: Document): string[] | undefined {
  const strange = { [unheardOf]: 1 }
  const probes =
    path === ''
      ? [{ ...document, ...strange }]
      : [withValue(document, path, strange), withValue(document, path, [strange])]
  for (const probed of probes) {
    const read = readPolicyFiles([{ file: 'p.yaml', text: JSON.stringify(probed) }])
    if (read.kind === 'ok') continue
    const found = read.problems.find(({ message }) => message === `unknown field "${unheardOf}"`)
    const fields = /^known fields: (.*)$/u.exec(found?.hint ?? '')?.[1]
    if (fields !== undefined) return fields.split(', ')
  }
  return undefined
}

/** A copy with the value at the path; of a list, in its first item. */
function withValue(document: Document, path: string, value: Value): Document {
  const [name = '', ...rest] = path.split('.')
  if (rest.length === 0) return { ...document, [name]: value }
  const inner = document[name]
  const isList = Array.isArray(inner) || ['rules', 'mask'].includes(name)
  const first = (isList ? (inner as readonly Value[] | undefined)?.[0] : inner) ?? {}
  const changed = withValue(first as Document, rest.join('.'), value)
  return { ...document, [name]: isList ? [changed] : changed }
}
