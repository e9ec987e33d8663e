import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'

const pipeline = resolve('packages/gateway/src/data-plane/pipeline/run-command.ts')

/** Ways to weaken the pipeline. Each must be a type error. */
const mutations = {
  'the verdict is not awaited': ['await stages.recordVerdict(', 'stages.recordVerdict('],
  'nothing is recorded': ['await stages.recordVerdict(unit, command, verdict)', 'undefined'],
  'the permit is dropped': ['Permit.issue(leave.entry), ', ''],
  'the entry stands in for the permit': ['Permit.issue(leave.entry)', 'leave.entry'],
  'the block branch is dropped': [/^ *if \(verdict\.effect === 'block'\).*\n/m, ''],
  'a hold is ignored': [/^ *verdict\.effect === 'approve'\n.*\n *: /m, ''],
  'all is held': [
    /^ *verdict\.effect === 'approve'\n.*\n *: .*$/m,
    'await stages.hold(unit, command, entry, verdict)',
  ],
  'a refused hold goes on': [/^ *if \('code' in leave\).*\n/m, ''],
  'the answer is not recorded': [', Answer.expect(leave.entry, masks, rowsMax)', ''],
  'the masks are left out': ['(leave.entry, masks, rowsMax)', '(leave.entry)'],
  'the row limit is left out': ['masks, rowsMax)', 'masks)'],
} as const satisfies Record<string, readonly [string | RegExp, string]>

test('a pipeline that forgets a step does not compile', () => {
  const original = readFileSync(pipeline, 'utf8')
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-types-'))
  try {
    const names = ['the original', ...Object.keys(mutations)]
    const texts = [
      original,
      ...Object.values(mutations).map((mutation) => mutate(original, mutation)),
    ]
    for (const [index, text] of texts.entries())
      writeFileSync(join(folder, `mutant-${index}.ts`), standAlone(text))
    const refused = compile(folder)
    assert.equal(refused.has(0), false, 'the pipeline itself must compile')
    for (const [index, name] of names.entries())
      if (index > 0) assert.ok(refused.has(index), `this compiles: ${name}`)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

function mutate(text: string, [from, to]: readonly [string | RegExp, string]): string {
  const changed = text.replace(from, to)
  assert.notEqual(changed, text, `the mutation finds nothing to change: ${String(from)}`)
  return changed
}

/** Makes imports absolute, since the copy lies outside the repository. */
function standAlone(text: string): string {
  return text
    .replaceAll(/from '(\.[^']+)'/g, (_, path: string) => `from '${join(dirname(pipeline), path)}'`)
    .replaceAll(/from '@sallyport\/(\w+)'/g, (_, name: string) => {
      return `from '${resolve(`packages/${name}/src/index.ts`)}'`
    })
}

/** Numbers of the mutants that the compiler refuses. */
function compile(folder: string): Set<number> {
  const config = {
    extends: resolve('tsconfig.json'),
    compilerOptions: {
      allowImportingTsExtensions: true,
      rewriteRelativeImportExtensions: false,
      typeRoots: [resolve('node_modules/@types')],
    },
    include: [],
    files: Array.from(
      { length: Object.keys(mutations).length + 1 },
      (_, index) => `mutant-${index}.ts`,
    ),
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const { stdout } = spawnSync(
    resolve('node_modules/.bin/tsc'),
    ['-p', folder, '--pretty', 'false'],
    { encoding: 'utf8' },
  )
  return new Set([...stdout.matchAll(/mutant-(\d+)\.ts\(/g)].map((match) => Number(match[1])))
}
