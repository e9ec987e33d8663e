/** What stands where in a recording store. */
export const storeKeys = {
  /** The session's key, sealed by the recording key. Removing it erases the recording. */
  sessionKey: (session: string): string => `keys/${session}.key`,
  sessions: (idPrefix: string): string => `sessions/${idPrefix}`,
  segment: (session: string, part: string, index: number): string =>
    `sessions/${session}/${part}/${String(index).padStart(8, '0')}.segment`,
  /** What the node says of a session that is whole. */
  seal: (session: string): string => `sessions/${session}/seal.jws`,
  anchors: 'anchors/',
  anchor: (number: number): string => `anchors/${String(number).padStart(10, '0')}.jws`,
  publicKeys: 'signing-keys/',
  publicKey: (id: string): string => `signing-keys/${id}.pem`,
  keyChanges: 'key-changes/',
  /** What the key before this one, and this one, have signed of it. */
  keyChange: (id: string): string => `key-changes/${id}.jws`,
} as const

/** What the key of a segment says; undefined for other keys, and for names of one that only look alike. */
export function parseSegmentKey(
  key: string,
): { readonly session: string; readonly part: string; readonly index: number } | undefined {
  const match = /^sessions\/([^/]+)\/([^/]+)\/(\d+)\.segment$/u.exec(key)
  const [, session, part, index] = match ?? []
  if (session === undefined || part === undefined) return undefined
  const parsed = { session, part, index: Number(index) }
  return storeKeys.segment(session, part, parsed.index) === key ? parsed : undefined
}
