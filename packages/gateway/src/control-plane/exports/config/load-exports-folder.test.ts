import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { printProblems } from '../../policies/config-problem.ts'
import { readExportFiles } from './load-exports-folder.ts'

process.env['TEST_EXPORT_SECRET'] = 'x'.repeat(32)
process.env['TEST_EXPORT_SHORT'] = 'x'.repeat(31)

function doc(spec: string, name = 'siem'): string {
  return `apiVersion: sallyport.dev/v1\nkind: Export\nmetadata: {name: ${name}}\nspec: ${spec}\n`
}

function read(...texts: string[]): ReturnType<typeof readExportFiles> {
  return readExportFiles(texts.map((text, n) => ({ file: `exports/${n}.yaml`, text })))
}

function problemsOf(...texts: string[]): string {
  const found = read(...texts)
  return found.kind === 'ok' ? '' : printProblems(found.problems)
}

const webhook =
  '{type: webhook, url: "https://siem.example.com/in", secret: {from: "env:TEST_EXPORT_SECRET"}}'

suite('the files of exports', () => {
  test('are read with their defaults', () => {
    const found = read(doc(webhook), doc('{type: file, path: /var/log/events.ndjson}', 'local'))
    assert.ok(found.kind === 'ok')
    const [siem, local] = [...found.config.values()]
    assert.ok(siem?.type === 'webhook' && local?.type === 'file')
    assert.equal(siem.secret.expose(), 'x'.repeat(32))
    assert.deepEqual([siem.withText, siem.authorization], [false, undefined])
    assert.deepEqual([local.rotateBytes, local.withText], [100 * 1024 * 1024, false])
  })

  test('take every option', () => {
    const more = 'authorization: {from: "env:TEST_EXPORT_SHORT"}, include: [text]}'
    const found = read(
      doc(webhook.replace(/\}$/u, `, ${more}`)),
      doc('{type: file, path: /x, rotate: 1MB, include: [text]}', 'local'),
      doc(
        '{type: otlp, url: "http://127.0.0.1:4318/v1/traces", authorization: {from: "env:TEST_EXPORT_SHORT"}, include: [text]}',
        'traces',
      ),
    )
    assert.ok(found.kind === 'ok')
    const out = read(doc('{type: stdout, include: [text]}', 'out'))
    assert.ok(out.kind === 'ok')
    assert.deepEqual(out.config.get('out'), { name: 'out', type: 'stdout', withText: true })
    const [siem, local, traces] = [...found.config.values()]
    assert.ok(siem?.type === 'webhook' && local?.type === 'file' && traces?.type === 'otlp')
    assert.deepEqual([traces.withText, traces.authorization?.expose()], [true, 'x'.repeat(31)])
    assert.deepEqual([siem.withText, siem.authorization?.expose()], [true, 'x'.repeat(31)])
    assert.deepEqual([local.withText, local.rotateBytes], [true, 1_000_000])
  })

  test('say where they are wrong, and nothing of them is used', () => {
    const wrong: [string, RegExp][] = [
      [
        doc('{type: webhok}'),
        /"webhok" is not one of webhook, file, stdout, otlp.*\n.*\n.*\n.*\n.*\^{6} did you mean "webhook"/u,
      ],
      [doc('{type: file, path: relative}'), /path must begin with \//],
      [doc('{type: file, path: /x, rotate: 1KB}'), /at least 65536 bytes/],
      [doc('{type: file, path: /x, url: y}'), /unknown field "url"/],
      [doc('{type: file}'), /missing field "path"/],
      [doc(webhook.replace('https', 'http')), /only https is taken, except on loopback/],
      [doc(webhook.replace('SECRET', 'SHORT')), /at least 32 characters/],
      [doc(webhook.replace('SECRET', 'NOTHING')), /has no value/],
      [doc(webhook.replace('{from: "env:TEST_EXPORT_SECRET"}', 'hunter2')), /must be a reference/],
      [doc(webhook, '"Bad Name"'), /is not a name/],
      [doc(webhook).replace('Export', 'Exprt'), /"Exprt" is not one of Export/],
      [doc(webhook.replace(/\}$/u, ', include: [texts]}')), /did you mean "text"/],
    ]
    for (const [text, problem] of wrong) {
      const said = problemsOf(doc('{type: file, path: /x}', 'fine'), text)
      assert.match(said, problem)
      assert.match(said, /--> exports\/1\.yaml:4|--> exports\/1\.yaml:[23]/u)
    }
    assert.match(problemsOf(doc(webhook), doc(webhook)), /there is another export "siem"/)
    assert.match(
      problemsOf(doc('{type: stdout}', 'one'), doc('{type: stdout}', 'two')),
      /another export writes to standard output/,
    )
    const many = Array.from({ length: 17 }, (_, n) => doc('{type: file, path: /x}', `f${n}`))
    assert.match(problemsOf(...many), /at most 16 exports/)
  })
})
