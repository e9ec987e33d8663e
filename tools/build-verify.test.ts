import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { bundleVerify, verifyFile } from './build-verify.ts'

test('verify.mjs is what the sources give: npm run build:verify', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-verify-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'verify.mjs')
  writeFileSync(file, bundleVerify())
  execFileSync('oxfmt', ['-c', '.oxfmtrc.json', file])
  assert.equal(readFileSync(verifyFile, 'utf8'), readFileSync(file, 'utf8'))
})
