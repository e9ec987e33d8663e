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

/** Behind the prefix of an id; each has five random bits. */
export const idCharacters = 13

/** The letter of an id that a random byte stands for, as its code in ASCII. */
export function idLetter(byte: number): number {
  return alphabet.charCodeAt(byte & 31)
}

/** Makes `<prefix>_` plus 13 characters (65 random bits) from `random`, which must return that many bytes. */
export function makeId<Id extends string>(
  prefix: string,
  random: (bytes: number) => Uint8Array,
): Id {
  const letters = Array.from(random(idCharacters), idLetter)
  return `${prefix}_${String.fromCharCode(...letters)}` as Id
}

/** True of the id of a ledger, which is recorded as sessions are. */
export function isLedgerId(session: string): boolean {
  return session.startsWith('l_')
}
