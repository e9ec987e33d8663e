import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { suite, test } from 'node:test'
import { decodeBackend, encodeBackend, type BackendMessage } from './backend-message.ts'
import { FrameSplitter, frameBody, frameEnd, frameType } from './frame-splitter.ts'
import { decodeFrontend, encodeFrontend, type FrontendMessage } from './frontend-message.ts'
import { BackendType, LONG_BACKEND_TYPES, LONG_FRONTEND_TYPES } from './message-types.ts'
import { decodeStartupPacket, encodeStartupMessage } from './startup.ts'

interface Transcript {
  readonly startup: Buffer
  readonly fromCaller: readonly Buffer[]
  readonly fromTarget: readonly Buffer[]
}

/** Sessions of real servers, as `tools/record-transcript.ts` recorded them. */
const files = globSync(`${import.meta.dirname}/testdata/*.transcript`)

test('there is a transcript of every server that is supported', () => {
  const versions = files.map((file) => /postgresql-(\d+)\.transcript$/.exec(file)?.[1] ?? '')
  assert.deepEqual(
    versions.toSorted((a, b) => a.localeCompare(b)),
    ['13', '14', '15', '16', '17', '18'],
  )
})

for (const file of files) {
  suite(basename(file), () => {
    const { startup, fromCaller, fromTarget } = read(file)

    test('every message of the caller is decoded and encoded to the same bytes', () => {
      assert.ok(fromCaller.length > 100)
      for (const frame of fromCaller) {
        const message = decodeFrontend(frameType(frame, 0), frameBody(frame, 0))
        assert.deepEqual(encodeFrontend(message), frame, message.kind)
      }
    })

    test('every message of the server is decoded and encoded to the same bytes', () => {
      assert.ok(fromTarget.length > 100)
      for (const frame of fromTarget) {
        const message = decodeBackend(frameType(frame, 0), frameBody(frame, 0))
        assert.deepEqual(encodeBackend(message), frame, message.kind)
      }
    })

    test('the StartupMessage too', () => {
      const packet = decodeStartupPacket(startup)?.packet
      assert.ok(packet?.kind === 'StartupMessage')
      assert.equal(packet.parameters.get('application_name'), 'wire')
      assert.deepEqual(encodeStartupMessage(packet.parameters, packet.minor), startup)
    })

    test('however the bytes are cut, the splitter finds the same messages', () => {
      for (const [frames, types] of [
        [fromCaller, LONG_FRONTEND_TYPES],
        [fromTarget, LONG_BACKEND_TYPES],
      ] as const) {
        for (const size of [1, 7, 1000]) assert.deepEqual(resplit(frames, types, size), frames)
      }
    })

    test('what is known of the session reads as it was', () => {
      const answers = fromTarget.map((frame) =>
        decodeBackend(frameType(frame, 0), frameBody(frame, 0)),
      )
      const version = settingOf(answers, 'server_version') ?? ''
      assert.ok(file.endsWith(`postgresql-${Number.parseInt(version, 10)}.transcript`), version)
      assert.deepEqual(firstResult(answers), {
        names: ['one', 'none', 'd', 'e'],
        values: ['1', undefined, 'dollar', 'esc\naped'],
      })
      assert.deepEqual(codesOf(answers, 'ErrorResponse').slice(0, 4), [
        '22012',
        '42P01',
        '23505',
        '25P02',
      ])
      assert.deepEqual(codesOf(answers, 'NoticeResponse').slice(0, 1), ['42P07'])
      const notice = answers.find((message) => message.kind === 'NotificationResponse')
      assert.equal(notice?.kind === 'NotificationResponse' && notice.payload, 'to myself')
      const { arguments: values } = callOf(
        fromCaller.map((frame) => decodeFrontend(frameType(frame, 0), frameBody(frame, 0))),
      )
      assert.deepEqual(
        values.map((value) => value?.readInt32BE(0)),
        [40, 2],
      )
      const sum = answers.find((message) => message.kind === 'FunctionCallResponse')
      assert.equal(sum?.kind === 'FunctionCallResponse' && sum.value?.readInt32BE(0), 42)
    })

    test('the server used every kind of message that a login and a session have', () => {
      const kinds = new Set(fromTarget.map((frame) => frameType(frame, 0)))
      const absent = Object.entries(BackendType).filter(([, type]) => !kinds.has(type))
      // The one belongs to replication, the other to a version that the caller did not ask for.
      assert.deepEqual(absent.map(([name]) => name).toSorted(), [
        'copyBothResponse',
        'negotiateProtocolVersion',
      ])
    })
  })
}

function read(file: string): Transcript {
  const lines = readFileSync(file, 'utf8').split('\n')
  const of = (from: string): Buffer[] =>
    lines
      .filter((line) => line.startsWith(`${from} `))
      .map((line) => Buffer.from(line.slice(from.length + 1), 'base64'))
  const [startup = Buffer.alloc(0), ...fromCaller] = of('caller')
  return { startup, fromCaller, fromTarget: of('target') }
}

function resplit(frames: readonly Buffer[], types: ReadonlySet<number>, size: number): Buffer[] {
  const splitter = new FrameSplitter(1024 * 1024, types)
  const bytes = Buffer.concat([...frames])
  const found: Buffer[] = []
  for (let from = 0; from < bytes.length; from += size) {
    const whole = splitter.push(bytes.subarray(from, from + size))
    for (let at = 0; at < whole.length; at = frameEnd(whole, at))
      found.push(Buffer.from(whole.subarray(at, frameEnd(whole, at))))
  }
  return found
}

function settingOf(answers: readonly BackendMessage[], name: string): string | undefined {
  for (const message of answers)
    if (message.kind === 'ParameterStatus' && message.name === name) return message.value
  return undefined
}

function firstResult(answers: readonly BackendMessage[]): unknown {
  const described = answers.find((message) => message.kind === 'RowDescription')
  const row = answers.find((message) => message.kind === 'DataRow')
  return {
    names: described?.kind === 'RowDescription' ? described.columns.map(({ name }) => name) : [],
    values: row?.kind === 'DataRow' ? row.values.map((value) => value?.toString()) : [],
  }
}

function codesOf(
  answers: readonly BackendMessage[],
  kind: 'ErrorResponse' | 'NoticeResponse',
): (string | undefined)[] {
  return answers.flatMap((message) => (message.kind === kind ? [message.fields.get('C')] : []))
}

function callOf(
  messages: readonly FrontendMessage[],
): Extract<FrontendMessage, { kind: 'FunctionCall' }> {
  const call = messages.find((message) => message.kind === 'FunctionCall')
  assert.ok(call?.kind === 'FunctionCall')
  return call
}
