import { createHash, timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import { cString, errorFrame, frame, frameBody, frameType } from './demo-frames.ts'

/** What the login checks, and the version it reports. */
export interface DemoLogin {
  readonly password: string
  readonly serverVersion: string
}

/** What the login reads from: one untyped packet or one message at a time. */
export interface LoginReader {
  startup(): Promise<Buffer | undefined>
  next(): Promise<Buffer | undefined>
}

const protocolMajor = 3
const sslRequest = 80877103
const gssRequest = 80877104
const cancelRequest = 80877102

/** What PostgreSQL reports after a login, for drivers that depend on it. */
const parameters = {
  server_encoding: 'UTF8',
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
  integer_datetimes: 'on',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  is_superuser: 'on',
  session_authorization: 'postgres',
  in_hot_standby: 'off',
  default_transaction_read_only: 'off',
} as const

/** Plays the server's side of the login, to the first ReadyForQuery. False when there is nobody to serve. */
export async function admit(
  reader: LoginReader,
  socket: Socket,
  { password, serverVersion }: DemoLogin,
): Promise<boolean> {
  const startup = await startupPacket(reader, socket)
  if (startup === undefined) return false
  const wanted = startupParameters(startup)
  // Clear text is safe here: the demo listens on the loopback address, and the password lives as long as the process.
  socket.write(frame('R', Buffer.from([0, 0, 0, 3])))
  const message = await reader.next()
  if (message === undefined || frameType(message) !== 'p') return false
  const given = frameBody(message).toString('utf8').replace(/\0$/, '')
  const user = wanted.get('user') ?? ''
  if (!same(given, password) || user !== 'postgres')
    return refuse(socket, '28P01', `password authentication failed for user "${user}"`)
  const database = wanted.get('database') ?? user
  if (database !== 'postgres')
    return refuse(socket, '3D000', `database "${database}" does not exist`)
  socket.write(greeting(serverVersion))
  return true
}

async function startupPacket(reader: LoginReader, socket: Socket): Promise<Buffer | undefined> {
  for (let packet = await reader.startup(); packet !== undefined; packet = await reader.startup()) {
    if (packet.length < 8) return undefined
    const code = packet.readUInt32BE(4)
    // One backend runs one statement at a time and cannot be interrupted, so a cancel request is taken and ignored.
    if (code === cancelRequest) return undefined
    if (code === sslRequest || code === gssRequest) socket.write('N')
    else if (code >>> 16 === protocolMajor) return packet
    else return undefined
  }
  return undefined
}

function startupParameters(packet: Buffer): Map<string, string> {
  const words = packet.toString('utf8', 8).split('\0')
  const found = new Map<string, string>()
  for (let at = 0; at + 1 < words.length && words[at] !== ''; at += 2)
    found.set(words[at] ?? '', words[at + 1] ?? '')
  return found
}

function greeting(serverVersion: string): Buffer {
  const settings = Object.entries({ server_version: serverVersion, ...parameters }).map(
    ([name, value]) => frame('S', Buffer.concat([cString(name), cString(value)])),
  )
  // BackendKeyData: libpq insists on one, although nothing here can be cancelled.
  const key = frame('K', Buffer.alloc(8, 1))
  return Buffer.concat([
    frame('R', Buffer.alloc(4)),
    ...settings,
    key,
    frame('Z', Buffer.from('I')),
  ])
}

function refuse(socket: Socket, sqlState: string, message: string): false {
  socket.end(errorFrame('FATAL', sqlState, message))
  return false
}

function same(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(left), digest(right))
}
