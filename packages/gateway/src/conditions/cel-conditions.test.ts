import assert from 'node:assert/strict'
import test from 'node:test'
import { factSchema, type ClauseTree } from '@sallyport/core'
import { celConditions } from './cel-conditions.ts'
import { compileGlob } from './fact-glob.ts'

const found = factSchema(['sql'])
const schema = 'refused' in found ? { facts: {} } : found
const facts = {
  op: {
    class: 'write',
    classes: ['delete', 'read'],
    verb: 'delete',
    objects: ['public.orders', 'sales."odd.name"'],
    text: 'DELETE FROM Straße',
    bytes: 9_223_372_036_854_775_807n,
    unbounded: true,
  },
  conn: { name: 'orders', labels: { tier: 'payments' }, env: 'prod' },
  agent: { depth: 2n, level: 1n, chain: ['dana', 'planner'] },
  root: { kind: 'human', groups: ['finance'] },
  client: { ip: '::ffff:10.1.2.3', app: 'psql' },
  now: new Date('2026-11-20T08:30:00Z'),
  sql: { hasWhere: false, limit: 0n, columns: Array.from({ length: 256 }, (_, i) => `t.c${i}`) },
}

const rows: [source: string, expected: string][] = [
  ['true', 'true'],
  ['op.class == "write"', 'true'],
  ['op.class != "read"', 'true'],
  ['"delete" in op.classes', 'true'],
  ['"ddl" in op.classes', 'false'],
  ['op.class in ["write", "ddl"]', 'true'],
  ['op . class == "write"', 'true'],
  ['(op.class) == "write"', 'true'],
  ['!op.unbounded', 'false'],
  ['op.unbounded ? agent.depth > 1 : false', 'true'],
  ['agent.depth > 0 && agent.depth >= 2', 'true'],
  ['agent.depth + 1 == 3', 'true'],
  ['op.bytes + 1 > 0', 'error type'],
  ['op.bytes == 9223372036854775807', 'true'],
  ['agent.depth / 0 == 1', 'error type'],
  ['op.text.contains("Straße")', 'true'],
  ['op.text.lower().startsWith("delete")', 'true'],
  ['op.text.endsWith("ße")', 'true'],
  ['op.text.size() == 18', 'true'],
  ['size(op.classes) == 2', 'true'],
  ['op.classes.all(c, c in ["delete", "read"])', 'true'],
  ['op.classes.exists(c, c == "read")', 'true'],
  ['op.classes.exists_one(c, c == "read")', 'true'],
  ['op.classes.filter(c, c != "read").size() == 1', 'true'],
  ['op.classes.map(c, c.size()).exists(n, n == 4)', 'true'],
  ['op.objects.anyGlob("public.*")', 'true'],
  ['op.objects.anyGlob("sales.*")', 'true'],
  ['op.objects.anyGlob("sales.*.*")', 'false'],
  ['op.objects.exists(o, o.glob("**orders"))', 'true'],
  ['op.objects.exists(o, o.glob("sales.\\"odd.name\\""))', 'true'],
  ['conn.name.glob("ord?rs")', 'true'],
  ['conn.name.glob("ord?")', 'false'],
  ['conn.labels.get("tier") == "payments"', 'true'],
  ['conn.labels.get("none") == ""', 'true'],
  ['conn.labels.get("constructor") == ""', 'true'],
  ['conn.labels.tier == "payments"', 'true'],
  ['conn.labels["tier"] == "payments"', 'true'],
  ['conn.labels["none"] == "payments"', 'error type'],
  ['client.ip.inCidr("10.0.0.0/8")', 'true'],
  ['client.ip.inCidr("192.168.0.0/16")', 'false'],
  ['client.app.inCidr("10.0.0.0/8")', 'error type'],
  ['now.within("Mon-Fri 08:00-19:00 Europe/Berlin")', 'true'],
  ['now.within("Sat,Sun 08:00-19:00 Europe/Berlin")', 'false'],
  ['now.within("Thu 22:00-10:00 Europe/Berlin")', 'true'],
  ['now.within("Fri 22:00-10:00 Europe/Berlin")', 'false'],
  ['now > timestamp("2026-01-01T00:00:00Z")', 'true'],
  ['now - timestamp("2026-11-20T08:00:00Z") == duration("1800s")', 'true'],
  ['op.text.matches("^DELETE")', 'true'],
  ['(op.text + "x").matches("x$")', 'true'],
  ['op.text.matches("^(?i)delete from") && op.verb.matches("^d")', 'true'],
  ['op.classes.exists(c, c.matches("^del"))', 'true'],
  ['"a.matches(" + op.verb == "a.matches(delete"', 'true'],
  // Unknown facts: left out, so that reading them is an error; && and || absorb it in both orders.
  ['op.persists', 'unknown op.persists'],
  ['!op.persists', 'unknown op.persists'],
  ['op.persists && false', 'false'],
  ['false && op.persists', 'false'],
  ['op.persists || true', 'true'],
  ['true || op.persists', 'true'],
  ['op.persists && true', 'unknown op.persists'],
  ['true && op.persists', 'unknown op.persists'],
  ['op.persists || false', 'unknown op.persists'],
  ['false || op.persists', 'unknown op.persists'],
  ['op.persists ? true : true', 'unknown op.persists'],
  ['agent.recent.deletes10m > 20', 'unknown agent.recent.deletes10m'],
  ['sql.writes.anyGlob("*")', 'unknown sql.writes'],
  ['"x" in sql.reads', 'unknown sql.reads'],
  ['sql.reads.all(r, r == "x")', 'unknown sql.reads'],
  ['op.classes.exists(c, op.persists)', 'unknown op.persists'],
  ['sql.functions.size() > 0', 'unknown sql.functions'],
  // Refused when loaded.
  ['op.clas == "x"', 'unknown-field 0-7 did you mean op.class?'],
  ['agnt.depth > 1', 'unknown-field 0-10 did you mean agent.depth?'],
  ['k8s.resource == "x"', 'unknown-field 0-12'],
  ['op == op', 'unknown-field 0-2'],
  ['op["class"] == "read"', 'unknown-field 0-2'],
  ['op.class == "delete"', 'enum-value 12-20 did you mean "delete" in op.classes?'],
  ['op.class == "raed"', 'enum-value 12-18 did you mean "read"?'],
  ['"raed" != op.class', 'enum-value 0-6'],
  ['op.class in ["read", "drop"]', 'enum-value 21-27'],
  ['"raed" in op.classes', 'enum-value 0-6 never contains'],
  ['root.kind == "humn"', 'enum-value 13-19'],
  ['op.class == "READ"', 'case-mismatch 12-18 did you mean "read"?'],
  ['has(op.class)', 'has-on-fact 0-13'],
  ['op.class', 'type-error 0-8'],
  ['op.class == 1', 'type-error 0-13'],
  ['op.class ==', 'syntax 11-11'],
  ['foo(1)', 'unknown-function 0-6'],
  ['dyn(op.class) == 1', 'unknown-function 0-13'],
  ['cel.bind(x, op.verb, x == "a")', 'unknown-function 0-30'],
  ['op.text.matches(op.verb)', 'regex-dynamic 16-23'],
  ['op.text.glob(op.verb)', 'literal 13-20'],
  ['op.text.matches("(?=a)")', 'regex-not-re2 16-23 RE2'],
  ['op.text.matches("(a)\\\\1")', 'regex-not-re2 16-24 RE2'],
  [`op.text.matches("${'a'.repeat(513)}")`, 'regex-not-re2 16-531 512'],
  ['client.ip.inCidr("10.0.0.0")', 'inCidr 17-27 "10.0.0.0" is not a network'],
  ['now.within("Mon 25:00-26:00 UTC")', 'within 11-32'],
  ['now.within("Mon 08:00-09:00 Mars/Base")', 'within 11-38'],
  ['op.classes.all(a, op.objects.all(b, a == b))', 'nested 18-43'],
  ['op.classes.all(op, op == "read")', 'syntax 15-17'],
  [`op.verb in [${'"a",'.repeat(257)}"b"]`, 'limit 11-1044 256'],
  [`"${'a'.repeat(4096)}" == op.verb`, 'limit 0-4109 4096'],
  [`${'!'.repeat(33)}op.unbounded`, 'limit 32-45 32'],
  [`${Array.from({ length: 200 }, () => '1 == 1').join(' && ')}`, 'limit'],
]

function answer(source: string): string {
  const result = celConditions.compile(source, schema)
  if (result.kind === 'refused') {
    return result.problems.map((p) => `${p.check} ${p.start}-${p.end} ${p.message}`).join('\n')
  }
  const outcome = result.condition.evaluate(facts)
  if (outcome.kind === 'value') return String(outcome.value)
  return outcome.kind === 'unknown' ? `unknown ${outcome.fact}` : `error ${outcome.code}`
}

for (const [source, expected] of rows) {
  test(`${source.slice(0, 60)} gives ${expected}`, () => {
    const got = answer(source)
    const words = /^([a-zA-Z\d-]+(?: \d+-\d+)?)(?: (.*))?$/u.exec(expected)
    if (/\d+-\d+|^limit/u.test(expected)) {
      assert.ok(got.includes(words?.[1] ?? '?') && got.includes(words?.[2] ?? ''), got)
    } else assert.equal(got, expected)
  })
}

const hard = ['^(a+)+$', '^(a|a)*$', '(.*a){12}b', '([a-z]+)*[0-9]', '^(([a-z])+.)+[A-Z]([a-z])+$']
for (const pattern of hard) {
  test(`${pattern} ends on a text that makes backtracking explode`, () => {
    const result = celConditions.compile(`op.text.matches("${pattern}")`, schema)
    assert.equal(result.kind, 'ok')
    if (result.kind !== 'ok') return
    const text = `${'a'.repeat(2000)}!`
    assert.deepEqual(result.condition.evaluate({ op: { text } }), { kind: 'value', value: false })
  })
}

test('a glob with many wildcards ends on a text that makes backtracking explode', () => {
  assert.equal(compileGlob(`${'*a'.repeat(60)}b`)('a'.repeat(4000)), false)
})

test('a subject over 16 KiB and an empty meter are errors', () => {
  const result = celConditions.compile('op.text.matches("a")', schema)
  assert.equal(result.kind, 'ok')
  if (result.kind !== 'ok') return
  const { condition } = result
  assert.deepEqual(condition.evaluate({ op: { text: 'a'.repeat(16_385) } }), {
    kind: 'error',
    code: 'subject-too-long',
  })
  const cost = { kind: 'error', code: 'cost' }
  const text = { op: { text: 'aaa' } }
  assert.deepEqual(condition.evaluate(text, { nodes: 100, matched: 2 }), cost)
  assert.deepEqual(condition.evaluate(text, { nodes: 1, matched: 100 }), cost)
})

test('every fact of the sql and session schemas can be read by a condition', () => {
  for (const subject of ['sql', 'session'] as const) {
    const facts = factSchema([subject])
    if ('refused' in facts) assert.fail(facts.refused)
    for (const path of Object.keys(facts.facts)) {
      const result = celConditions.compile(`${path} == ${path}`, facts)
      assert.equal(result.kind, 'ok', path)
      if (result.kind === 'ok') {
        assert.deepEqual(result.condition.reads, [path])
        assert.deepEqual(result.condition.evaluate({}), { kind: 'unknown', fact: path })
      }
    }
  }
})

/** `all(a, any(b, not(c)))` */
function printed(tree: ClauseTree): string {
  if (tree.kind === 'clause') return tree.text
  if (tree.kind === 'not') return `not(${printed(tree.part)})`
  return `${tree.kind}(${tree.parts.map(printed).join(', ')})`
}

const taken: [source: string, tree: string][] = [
  ['true', 'true'],
  [
    'op.class != "read" && agent.depth > 0 && !op.unbounded',
    'all(op.class != "read", agent.depth > 0, !op.unbounded)',
  ],
  [
    '(agent.depth > 0 || !(op.persists && op.unbounded)) && op.verb == "x"',
    'all(any(agent.depth > 0, not(all(op.persists, op.unbounded))), op.verb == "x")',
  ],
  ['(agent.depth + 1) == 2 || true', 'any(agent.depth + 1 == 2, true)'],
  [
    '(agent.depth + agent.level) * 2 == 2 && true',
    'all((agent.depth + agent.level) * 2 == 2, true)',
  ],
  ['op.text.matches("^a")\n  && true', 'all(op.text.matches("^a"), true)'],
]
for (const [source, tree] of taken) {
  test(`${source} is taken apart into ${tree}`, () => {
    const result = celConditions.compile(source, schema)
    assert.ok(result.kind === 'ok')
    assert.equal(printed(result.condition.clauses()).replaceAll('.0', ''), tree)
  })
}
