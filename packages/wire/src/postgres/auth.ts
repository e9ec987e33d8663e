import { BodyReader } from './body-reader.ts'
import { type Fields, FrameWriter, encodeBytes, encodeText, textBytes } from './frame-writer.ts'
import { BackendType, FrontendType } from './message-types.ts'

/**
 * Any message of type `p`. Which one it is follows from what upstream asked for last: read it with `decodePassword`,
 * `decodeSaslInitialResponse`, or take `data` as it is for a SASLResponse.
 */
export interface PasswordMessage {
  readonly kind: 'PasswordMessage'
  readonly data: Buffer
}

/** The first message of a SASL exchange. */
export interface SaslInitialResponse {
  readonly kind: 'SASLInitialResponse'
  readonly mechanism: string
  readonly data: Buffer | null
}

/** What upstream asks of someone who logs in. */
export type Authentication =
  | { readonly kind: 'AuthenticationOk' }
  | { readonly kind: 'AuthenticationCleartextPassword' }
  | { readonly kind: 'AuthenticationMD5Password'; readonly salt: Buffer }
  | { readonly kind: 'AuthenticationSASL'; readonly mechanisms: readonly string[] }
  | { readonly kind: 'AuthenticationSASLContinue'; readonly data: Buffer }
  | { readonly kind: 'AuthenticationSASLFinal'; readonly data: Buffer }
  /** Kerberos, GSSAPI, SSPI and whatever comes later. */
  | { readonly kind: 'AuthenticationUnsupported'; readonly code: number; readonly data: Buffer }

const authenticationCode = {
  ok: 0,
  cleartextPassword: 3,
  md5Password: 5,
  sasl: 10,
  saslContinue: 11,
  saslFinal: 12,
} as const

const md5SaltBytes = 4

/** Takes the body of any message of type `p` as it is. */
export function decodePasswordMessage(body: Buffer): PasswordMessage {
  return { kind: 'PasswordMessage', data: body }
}

/** Reads a PasswordMessage that answers a request for a password. */
export function decodePassword(body: Buffer): string {
  const reader = new BodyReader(FrontendType.password, body)
  const password = reader.text()
  reader.end()
  return password
}

/** Writes a PasswordMessage that holds a password. */
export function encodePassword(password: string): Buffer {
  return encodeText(FrontendType.password, password)
}

/** Reads a PasswordMessage that answers AuthenticationSASL. */
export function decodeSaslInitialResponse(body: Buffer): SaslInitialResponse {
  const reader = new BodyReader(FrontendType.password, body)
  const mechanism = reader.text()
  const data = reader.value()
  reader.end()
  return { kind: 'SASLInitialResponse', mechanism, data }
}

/** Writes a SASLInitialResponse. */
export function encodeSaslInitialResponse(response: Fields<SaslInitialResponse>): Buffer {
  const { mechanism, data } = response
  const bytes = textBytes(mechanism) + 4 + (data?.length ?? 0)
  return new FrameWriter(FrontendType.password, bytes).text(mechanism).value(data).finish()
}

/** Writes a SASLResponse, or any other message of type `p` whose body is at hand. */
export function encodeSaslResponse(data: Buffer): Buffer {
  return encodeBytes(FrontendType.password, data)
}

/** Reads the body of any Authentication message. */
export function decodeAuthentication(body: Buffer): Authentication {
  const reader = new BodyReader(BackendType.authentication, body)
  const authentication = readAuthentication(reader)
  reader.end()
  return authentication
}

function readAuthentication(reader: BodyReader): Authentication {
  const code = reader.int32()
  switch (code) {
    case authenticationCode.ok:
      return { kind: 'AuthenticationOk' }
    case authenticationCode.cleartextPassword:
      return { kind: 'AuthenticationCleartextPassword' }
    case authenticationCode.md5Password:
      return { kind: 'AuthenticationMD5Password', salt: reader.bytes(md5SaltBytes) }
    case authenticationCode.sasl:
      return { kind: 'AuthenticationSASL', mechanisms: readMechanisms(reader) }
    case authenticationCode.saslContinue:
      return { kind: 'AuthenticationSASLContinue', data: reader.rest() }
    case authenticationCode.saslFinal:
      return { kind: 'AuthenticationSASLFinal', data: reader.rest() }
    default:
      return { kind: 'AuthenticationUnsupported', code, data: reader.rest() }
  }
}

function readMechanisms(reader: BodyReader): string[] {
  const mechanisms: string[] = []
  for (let name = reader.text(); name !== ''; name = reader.text()) mechanisms.push(name)
  return mechanisms
}

/** Writes any Authentication message. */
export function encodeAuthentication(authentication: Authentication): Buffer {
  switch (authentication.kind) {
    case 'AuthenticationOk':
      return encodeCode(authenticationCode.ok)
    case 'AuthenticationCleartextPassword':
      return encodeCode(authenticationCode.cleartextPassword)
    case 'AuthenticationMD5Password':
      return encodeCode(authenticationCode.md5Password, authentication.salt)
    case 'AuthenticationSASL':
      return encodeMechanisms(authentication.mechanisms)
    case 'AuthenticationSASLContinue':
      return encodeCode(authenticationCode.saslContinue, authentication.data)
    case 'AuthenticationSASLFinal':
      return encodeCode(authenticationCode.saslFinal, authentication.data)
    case 'AuthenticationUnsupported':
      return encodeCode(authentication.code, authentication.data)
  }
}

function encodeCode(code: number, data?: Buffer): Buffer {
  const writer = new FrameWriter(BackendType.authentication, 4 + (data?.length ?? 0)).int32(code)
  return data === undefined ? writer.finish() : writer.bytes(data).finish()
}

function encodeMechanisms(mechanisms: readonly string[]): Buffer {
  const bytes = mechanisms.reduce((sum, name) => sum + textBytes(name), 4 + 1)
  const writer = new FrameWriter(BackendType.authentication, bytes).int32(authenticationCode.sasl)
  for (const name of mechanisms) writer.text(name)
  return writer.byte(0).finish()
}
