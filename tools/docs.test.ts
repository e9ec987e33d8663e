import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { ERRORS } from '@sallyport/core'

const pages = [...globSync('docs/**/*.md'), ...globSync('*.md')]
const read = (file: string): string => readFileSync(file, 'utf8')

/** Words that have one meaning here, in the order of the glossary. */
const words =
  'principal agent tree chain grant budget handle credential standing lease link signal ticket connection target session command verdict permit mask approval break-glass bundle demand entry hold journal fact ledger segment seal recording incident connector tunnel downstream upstream'

test('the page of errors says what the catalogue says, no more and no less', () => {
  const sections = read('docs/errors.md').split(/^## /m).slice(1)
  const described = sections.map((section) => section.slice(0, section.indexOf('\n')))
  assert.deepEqual(described.toSorted(), Object.keys(ERRORS).toSorted())
  for (const [code, { say, origin, retry, sqlState, level }] of Object.entries(ERRORS)) {
    const section = sections.find((text) => text.startsWith(`${code}\n`)) ?? ''
    assert.ok(section.includes(`> ${say}\n`), `${code} reads differently on the page`)
    const facts = `Origin \`${origin}\` · retry \`${retry}\` · SQLSTATE \`${sqlState}\` · logged as \`${level}\``
    assert.ok(section.includes(facts), `the facts of ${code} differ from the page`)
  }
})

test('the glossary has every word, each once', () => {
  const rows = [...read('docs/glossary.md').matchAll(/^\| \*\*(.+?)\*\* \|/gm)].map((row) => row[1])
  assert.deepEqual(rows, words.split(' '))
})

test('every npm script that a page names exists', () => {
  const manifest = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/\bnpm (?:run ([\w:]+)|(start|test)\b)/g)].map(
      (match) => match[1] ?? match[2] ?? '',
    ),
  )
  assert.ok(named.length > 3, 'too few commands were seen')
  for (const name of named) assert.ok(name in manifest.scripts, `npm run ${name} does not exist`)
})

const cli = 'packages/cli/bin/sallyport.mjs'
const cliMissing = existsSync(cli) ? false : 'the command line is not in this tree'

test('every sallyport verb that a page names exists', { skip: cliMissing }, () => {
  const help = spawnSync(process.execPath, ['--conditions=@sallyport/source', cli, '--help'], {
    encoding: 'utf8',
  })
  const verbs = new Set([...help.stdout.matchAll(/^ {2}([a-z-]+)/gm)].map((match) => match[1]))
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/\bnpx sallyport ([a-z-]+)/g)].map((match) => match[1] ?? ''),
  )
  assert.ok(named.length > 3, 'too few commands were seen')
  for (const verb of named) assert.ok(verbs.has(verb), `the help does not list: sallyport ${verb}`)
})

test('every link between pages and every path that a page names leads somewhere', () => {
  for (const page of pages) {
    const links = [...read(page).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map((match) =>
      join(dirname(page), match[1] ?? ''),
    )
    const paths = [...read(page).matchAll(/`((?:packages|tools)\/[\w./-]+)`/g)].map(
      (match) => match[1] ?? '',
    )
    for (const path of [...links, ...paths]) assert.ok(existsSync(path), `${page} names ${path}`)
  }
})

test('no page names a path of one machine', () => {
  for (const page of pages)
    assert.doesNotMatch(read(page), /(?:^|[\s"'`(])\/(?:work|home|root|tmp|Users)\//m, page)
})
