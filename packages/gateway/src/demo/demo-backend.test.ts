import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DemoBackend } from './demo-backend.ts'
import { cString, frame, frames, frameType, prefixName, queryFrame } from './demo-frames.ts'

/** A backend that answers a COPY statement as PostgreSQL does, and dies when no data follows it. */
async function copyingBackend(messages: Buffer): Promise<Buffer> {
  const list = frames(messages)
  const ready = frame('Z', Buffer.from('I'))
  const out: Buffer[] = []
  for (let at = 0; at < list.length; at++) {
    const text = list[at]?.toString('latin1') ?? ''
    if (text.includes('copy ')) {
      const end = list.findIndex((message, index) => index > at && /[cf]/.test(frameType(message)))
      assert.notEqual(end, -1, 'the backend would wait for ever')
      const done = frameType(list[end] ?? Buffer.alloc(0)) === 'c'
      out.push(frame('G', Buffer.alloc(3)), frame(done ? 'C' : 'E', cString('x')), ready)
      at = end
    } else if (text.startsWith('Q') || text.startsWith('S')) out.push(ready)
  }
  return Buffer.concat(out)
}

const types = (answer: Buffer): string => frames(answer).map(frameType).join('')

test('a COPY never reaches the backend without an end of its data', async () => {
  const backend = new DemoBackend(copyingBackend)
  const session = backend.open()
  const copy = [queryFrame('copy t from stdin')]
  assert.equal(types((await backend.probeCopy(session, copy)) ?? Buffer.alloc(0)), 'G')
  assert.equal(types(await backend.runCopy(session, copy, [frame('c')])), 'CZ')
  assert.equal(types(await backend.run(session, copy)), 'GEZ')
})

test('only names get a prefix, and only where they have one', () => {
  const parse = frame('P', Buffer.concat([cString('a'), cString('select 1'), Buffer.alloc(2)]))
  assert.match(prefixName(parse, 's1_').toString('latin1'), /s1_a\0select 1/)
  const bind = frame('B', Buffer.concat([cString('portal'), cString('a'), Buffer.alloc(6)]))
  assert.match(prefixName(bind, 's1_').toString('latin1'), /portal\0s1_a\0/)
  const unnamed = frame('P', Buffer.concat([cString(''), cString('select 1'), Buffer.alloc(2)]))
  assert.equal(prefixName(unnamed, 's1_'), unnamed)
  const portal = frame('C', cString('Pa'))
  assert.equal(prefixName(portal, 's1_'), portal)
})
