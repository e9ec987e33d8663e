import type { Store } from './ports/store.ts'

/** Reads a setting, or gives undefined. */
export async function readSetting(store: Store, name: string): Promise<unknown> {
  const row = await store.db
    .selectFrom('setting')
    .select('value')
    .where('name', '=', name)
    .executeTakeFirst()
  return row?.value
}

/** Writes a setting, new or not. */
export async function writeSetting(store: Store, name: string, value: unknown): Promise<void> {
  const json = JSON.stringify(value)
  await store.durable((tx) =>
    tx
      .insertInto('setting')
      .values({ name, value: json })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: json }))
      .execute(),
  )
}
