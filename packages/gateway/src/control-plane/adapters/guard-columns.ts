import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Who masks the columns of a connection, and what was applied at its target. */
export const guardColumns: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      alter table connection
        add column masking text not null default 'lineage' check (masking in ('lineage', 'guard')),
        add column guard jsonb`.execute(db)
  },
}
