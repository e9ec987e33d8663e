import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { makeTemplate, openPglite } from './open-pglite.ts'

const nowhere = pathToFileURL('/nowhere/pglite.tar.gz')

describe('an embedded database', () => {
  let dir: string
  let template: URL

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-pglite-'))
    const file = join(dir, 'template.tar.gz')
    await writeFile(file, await makeTemplate())
    template = pathToFileURL(file)
  })
  after(async () => await rm(dir, { recursive: true, force: true }))

  async function ask(name: string, sql: string, from: URL): Promise<unknown[]> {
    const lite = await openPglite(join(dir, name), {}, from)
    try {
      const results = await lite.exec(sql)
      return results.at(-1)?.rows ?? []
    } finally {
      await lite.close()
    }
  }

  test('is the same from the template and from nothing', async () => {
    const all = `select name, setting from pg_settings where name not in ('data_directory', 'config_file', 'hba_file', 'ident_file')
      union all select 'relation', oid::regclass::text from pg_class union all select 'database', datname || datcollate || encoding from pg_database
      union all select 'role', rolname || rolsuper from pg_roles order by 1, 2`
    const fromNothing = await ask('plain', all, nowhere)
    const fromTemplate = await ask('templated', all, template)
    assert.ok(fromNothing.length > 700)
    assert.deepEqual(fromTemplate, fromNothing)
  })

  test('that is there is opened as it is, whether a template is there or not', async () => {
    await ask('kept', 'create table kept as select 1 as n', template)
    assert.deepEqual(await ask('kept', 'select * from kept', template), [{ n: 1 }])
    assert.deepEqual(await ask('kept', 'select * from kept', nowhere), [{ n: 1 }])
  })

  test('does not come from an archive that is none', async () => {
    const file = join(dir, 'broken.tar.gz')
    await writeFile(file, 'not an archive')
    await assert.rejects(openPglite(join(dir, 'broken'), {}, pathToFileURL(file)))
  })
})
