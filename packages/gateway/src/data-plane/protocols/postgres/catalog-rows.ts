/** Asks a target, and gives its rows as texts; null is the empty text. */
export type Ask = (sql: string) => Promise<string[][]>

/** Objects that the server itself brings along have lower numbers (access/transam.h, FirstNormalObjectId). */
export const firstUserOid = 16_384

/** Appends to the list under a key. */
export function push<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
