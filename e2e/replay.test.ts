import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { SessionView } from '@sallyport/gateway'
import { skipReason, until } from '@sallyport/testkit'
import { psql, sallyport, sallyportOnTerminal } from './command-line.ts'
import { guardPolicy as policy, startTestGateway, type TestGateway } from './test-gateway.ts'

const seed = `create table customers (id int, email text, note text);
  insert into customers values (1, 'a@b.example', 'x' || chr(27) || ']0;owned' || chr(7) || chr(27) || '[2J' || U&'\\009B' || '31m')`
/** Escape sequences in a name that comes back, in a value and in the text of the statement. */
const script = `select 'first' as one;
select 'begin' || chr(27) || '[2Jend' as "head\u001B]0;name\u0007";
select note from customers;
select id, email from customers;
drop table customers;
select 'last \u001B[31m' as two;
`

/** All that reaches a terminal but line breaks and tabs, and colours of our own. */
function steering(text: string): string[] {
  const plain = text.replaceAll(
    new RegExp(String.raw`${'\u001B'}\[(?:0|1|31|33|35|41;97)m`, 'gu'),
    '',
  )
  return plain.match(/[^\P{Cc}\t\r\n]/gu) ?? []
}

async function recorded(gateway: TestGateway): Promise<string> {
  const { code, err } = await psql(gateway, await gateway.url(), script)
  assert.equal(code, 0, err)
  assert.match(err, /blocked by Sallyport rule "no-drop"/)
  let session: SessionView | undefined
  await until('the session has ended', async () => {
    const rows = (await (await gateway.api('GET', '/v1/sessions')).json()) as SessionView[]
    session = rows[0]
    return session?.closedAt !== undefined
  })
  return session?.id ?? ''
}

suite('replaying what psql did', { skip: skipReason() }, () => {
  test('a pipe gets text, at once and without anything that steers a terminal', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    const session = await recorded(gateway)
    using replay = sallyport(gateway, ['replay', session])
    assert.equal(await replay.ended(), 0, replay.err)
    assert.deepEqual(steering(replay.out), [])
    for (const shown of [
      String.raw`begin\x1b[2Jend`,
      String.raw`head\x1b]0;name\x07`,
      String.raw`x\x1b]0;owned\x07\x1b[2J\x9b31m`,
      String.raw`select 'last \x1b[31m'`,
    ])
      assert.ok(replay.out.includes(shown), `${shown} in\n${replay.out}`)
    // The mask rule matched the drop too, and has no part in its refusal.
    assert.match(replay.out, /#5 block by guard\/no-drop {2}ddl/)
    using asJson = sallyport(gateway, ['replay', session, '-o', 'ndjson'])
    assert.equal(await asJson.ended(), 0)
    assert.deepEqual(steering(asJson.out), [])
    for (const line of asJson.out.trim().split('\n')) assert.ok(JSON.parse(line))
  })

  test('only decisions: what was masked and blocked, from a command on', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    const session = await recorded(gateway)
    using replay = sallyport(gateway, ['replay', session, '--only', 'decisions'])
    assert.equal(await replay.ended(), 0, replay.err)
    const numbers = [...replay.out.matchAll(/#(\d+) (?:allow|block)/gu)].map(([, seq]) => seq)
    assert.deepEqual(numbers, ['4', '5'])
    assert.match(replay.out, /#4 masked 1 by guard\/emails/)
    using later = sallyport(gateway, ['replay', session, '--only', 'decisions', '--at', '#5'])
    assert.equal(await later.ended(), 0)
    assert.doesNotMatch(later.out, /#4/)
    assert.match(later.out, /#5 refused SP_POLICY_BLOCKED/)
    using wrong = sallyport(gateway, ['replay', session, '--only', 'everything'])
    assert.equal(await wrong.ended(), 2)
    using slow = sallyport(gateway, ['replay', session, '--speed', '0'])
    assert.equal(await slow.ended(), 2)
    assert.equal(
      (await gateway.api('GET', `/v1/sessions/${session}?as=csv&only=decisions`)).status,
      400,
    )
  })

  test('a terminal plays it: keys go by command and decision, search and quit, and data steers nothing', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    const session = await recorded(gateway)
    using replay = sallyportOnTerminal(gateway, [
      'replay',
      session,
      '--speed',
      '0.01',
      '--idle-limit',
      '20s',
    ])
    await replay.printed(/#1 allow/)
    replay.type(' ')
    await replay.printed(/paused at #1/)
    replay.type('\u001B[C')
    await replay.printed(/#2 allow/)
    replay.type('n')
    await replay.printed(/#4 allow/)
    replay.type('n')
    await replay.printed(/#5 block/)
    replay.type('/LAST\r')
    await replay.printed(/#6 allow/)
    replay.type('N')
    await replay.printed(/#6 allow[^]*#5 block/)
    assert.doesNotMatch(replay.out, /#3/)
    replay.type('q')
    assert.equal(await replay.ended(), 0, replay.out)
    assert.deepEqual(steering(replay.out), [])
    // Ours: what was blocked is red.
    assert.match(replay.out, /\[31m[\d:.]+ {2}#5 block/)
  })

  test('it plays to the end by itself where nobody has a terminal, and says what there is not', async () => {
    await using gateway = await startTestGateway({ policy, seed })
    const session = await recorded(gateway)
    using replay = sallyport(gateway, ['replay', session, '--speed', '100'])
    assert.equal(await replay.ended(), 0, replay.err)
    assert.match(replay.out, /#1 allow[^]*#6 allow[^]*closed:/)
    using plain = sallyport(gateway, ['replay', session, '--text'])
    assert.equal(await plain.ended(), 0)
    assert.equal(plain.out, replay.out)
    using nothing = sallyport(gateway, ['replay', 's_nothing', '--speed', '2'])
    assert.equal(await nothing.ended(), 2)
    assert.match(nothing.err, /SP_NOT_FOUND/)
  })
})
