declare const brand: unique symbol
type Brand<Name extends string> = string & { readonly [brand]: Name }

export type AgentId = Brand<'AgentId'>
export type SessionId = Brand<'SessionId'>
export type CommandId = Brand<'CommandId'>
export type DecisionId = Brand<'DecisionId'>
export type ApprovalId = Brand<'ApprovalId'>
export type CredentialId = Brand<'CredentialId'>

/** Lower-case Crockford base32: no i, l, o, u. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const idCharacters = 13

/** Makes `<prefix>_` plus 13 characters (65 random bits) from `random`, which must return that many bytes. */
export function makeId<Id extends string>(
  prefix: string,
  random: (bytes: number) => Uint8Array,
): Id {
  let id = `${prefix}_`
  for (const byte of random(idCharacters)) id += alphabet.charAt(byte & 31)
  return id as Id
}

/** True of the id of a ledger, which is recorded as sessions are. */
export function isLedgerId(session: string): boolean {
  return session.startsWith('l_')
}
