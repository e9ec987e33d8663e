import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { onBothStores } from '../agents/agents.fixture.ts'
import { knownGroups } from './known-groups.ts'

onBothStores('groups of approvers', (bench) => {
  test('a group of a directory counts who is active in it; one that only logins show is told as such', async () => {
    const { db } = bench.store
    await sql`insert into principal (id, kind, name, groups) values
      ('p1', 'human', 'ana', '["dba", "seen"]'), ('p2', 'human', 'ben', '["seen"]'),
      ('p3', 'workload', 'ci', '["seen"]')`.execute(db)
    const now = new Date()
    const times = { created_at: now, changed_at: now }
    for (const [id, name] of [
      ['g1', 'dba'],
      ['g2', 'nobody'],
    ] as const) {
      await db
        .insertInto('scim_group')
        .values({ issuer: 'i', id, display_name: name, external_id: null, ...times })
        .execute()
    }
    for (const [id, active] of [
      ['cleo', true],
      ['gone', false],
    ] as const) {
      await sql`insert into scim_user (issuer, id, user_name, names, active, attributes, created_at, changed_at)
        values ('i', ${id}, ${id}, array[${id}]::text[], ${active}, '{}', ${now}, ${now})`.execute(
        db,
      )
      await sql`insert into scim_member (issuer, group_id, user_id) values ('i', 'g1', ${id})`.execute(
        db,
      )
    }
    const groups = await knownGroups(bench.store)
    assert.deepEqual(groups['dba'], { from: 'directory', people: ['cleo'] })
    assert.deepEqual(groups['nobody'], { from: 'directory', people: [] })
    assert.deepEqual(groups['seen'], { from: 'logins', people: ['ana', 'ben'] })
  })
})
