import type { ObjectSource } from './part-reader.ts'
import { parseSegmentKey, storeKeys } from './store-keys.ts'

/** What stands under `sessions/`: the segments of a part, a seal, or something that is neither. */
export type StoredThing =
  | {
      readonly kind: 'part'
      readonly session: string
      readonly part: string
      /** Numbers of the segments that are there, ascending. */
      readonly indexes: readonly number[]
    }
  | { readonly kind: 'seal'; readonly session: string }
  | { readonly kind: 'stray'; readonly key: string }

/** All that a store holds of the sessions whose ids begin so. Only names that a gateway would give count. */
export async function* storedThings(
  source: ObjectSource,
  idPrefix: string,
): AsyncGenerator<StoredThing> {
  let open: { session: string; part: string; indexes: number[] } | undefined
  for await (const key of source.list(storeKeys.sessions(idPrefix))) {
    const parsed = parseSegmentKey(key)
    if (parsed === undefined) {
      const session = /^sessions\/([^/]+)\/seal\.jws$/u.exec(key)?.[1]
      yield session === undefined ? { kind: 'stray', key } : { kind: 'seal', session }
      continue
    }
    const { session, part, index } = parsed
    if (open !== undefined && (open.session !== session || open.part !== part)) {
      yield { kind: 'part', ...open }
      open = undefined
    }
    open ??= { session, part, indexes: [] }
    open.indexes.push(index)
  }
  if (open !== undefined) yield { kind: 'part', ...open }
}
