import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { skipReason, until } from '@sallyport/testkit'
import { BackendType, FrontendType, frameType } from '@sallyport/wire'
import { benignSeed, takeTurn, everydayTurns, largeTurns } from './benign-workload.ts'
import {
  callerFrames,
  legible,
  RecordingRelay,
  targetFrames,
  type Frame,
  type Recorded,
} from './recording-relay.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { WireCaller, type Door } from './wire-caller.ts'

/** Rules are in force, and none of them touches what the workload reads. */
const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: guard}
spec:
  owner: group:test
  rules:
    - name: keep-out
      on: sql
      when: op.objects.exists(o, o.endsWith("secrets"))
      effect: block
      message: "Nobody touches it."
    - name: mask
      on: sql
      when: conn.name == "masked"
      effect: mask
      mask:
        - {columns: ["secrets.hidden"], with: redact}
`

suite('a benign workload', { skip: skipReason(), timeout: 120_000 }, () => {
  let gateway: TestGateway
  let atTarget: RecordingRelay
  let atGateway: RecordingRelay
  let direct: Conversation

  before(async () => {
    gateway = await startTestGateway({ policy, seed: benignSeed, plainText: true })
    atTarget = await RecordingRelay.before(gateway.postgres.port)
    atGateway = await RecordingRelay.before(gateway.gateway.ports.postgres)
    for (const name of ['plain', 'masked']) {
      const login = { user: 'app', password: 'app-password', database: 'postgres', tls: 'off' }
      const target = { name, host: '127.0.0.1', port: atTarget.port, ...login }
      const added = await gateway.api('POST', '/v1/connections', target)
      assert.ok(added.ok, await added.text())
    }
    const door = { port: atTarget.port, user: 'app', password: 'app-password' }
    direct = await converse(door, atTarget, atTarget)
  })
  after(async () => {
    await atGateway[Symbol.asyncDispose]()
    await atTarget[Symbol.asyncDispose]()
    await gateway[Symbol.asyncDispose]()
  })

  const through = async (connection: string): Promise<Conversation> => {
    const { user, secret } = await gateway.gateway.issueCredential({ connection })
    return await converse({ port: atGateway.port, user, password: secret }, atGateway, atTarget)
  }

  test('has something of everything', () => {
    const sent = new Set(direct.toTarget.map((frame) => frameType(frame, 0)))
    const missing = Object.entries(FrontendType).filter(([, type]) => !sent.has(type))
    assert.deepEqual(
      missing.map(([name]) => name),
      ['terminate', 'password'],
    )
    const came = new Set(direct.toCaller.map((frame) => frameType(frame, 0)))
    const absent = Object.entries(BackendType).filter(([, type]) => !came.has(type))
    assert.deepEqual(
      absent.map(([name]) => name),
      ['backendKeyData', 'authentication', 'copyBothResponse', 'negotiateProtocolVersion'],
    )
  })

  test('reaches the target, and its answers the caller, as without a gateway', async () => {
    const { toTarget, toCaller } = await through('plain')
    assertSame(toTarget, direct.toTarget)
    assertSame(toCaller, direct.toCaller)
  })

  test('is asked for its columns where masks are in force, and is the same otherwise', async () => {
    const { toTarget, toCaller } = await through('masked')
    assertSame(withoutAdded(toTarget, direct.toTarget), direct.toTarget)
    assert.ok(toTarget.length > direct.toTarget.length, 'something was asked')
    assertSame(toCaller, direct.toCaller)
  })
})

interface Conversation {
  readonly toTarget: readonly Frame[]
  readonly toCaller: readonly Frame[]
}

/** Runs the workload once, and returns what each end got of it after the login. */
async function converse(
  door: Door,
  front: RecordingRelay,
  back: RecordingRelay,
): Promise<Conversation> {
  const [frontBefore, backBefore] = [front.connections.length, back.connections.length]
  {
    await using caller = await WireCaller.open(door)
    for (const turn of [...everydayTurns, ...largeTurns]) await takeTurn(caller, turn)
  }
  const conversation = (relay: RecordingRelay, skip: number): Recorded => {
    // The gateway reads the catalog over connections of its own.
    const found = relay.connections
      .slice(skip)
      .filter(({ fromCaller }) => !fromCaller.includes('sallyport catalog'))
    assert.equal(found.length, 1)
    return found[0] ?? { fromCaller: Buffer.alloc(0), fromTarget: Buffer.alloc(0) }
  }
  const backBytes = (): number => conversation(back, backBefore).fromCaller.length
  await until('the farewell has arrived', () => backBytes() > 0)
  return {
    toTarget: commandsOf(conversation(back, backBefore)),
    toCaller: answersOf(conversation(front, frontBefore)),
  }
}

/** What a caller sent after its password. The goodbye may be cut off by the end of the connection. */
function commandsOf({ fromCaller }: Recorded): Frame[] {
  const notCommands: readonly number[] = [FrontendType.password, FrontendType.terminate]
  return callerFrames(fromCaller).filter((frame) => !notCommands.includes(frameType(frame, 0)))
}

function answersOf({ fromTarget }: Recorded): Frame[] {
  const frames = targetFrames(fromTarget)
  const ready = frames.findIndex((frame) => frameType(frame, 0) === BackendType.readyForQuery)
  return frames.slice(ready + 1).map(withoutPid)
}

/** A notification begins with the process id of the session that sent it. */
function withoutPid(frame: Frame): Frame {
  if (frameType(frame, 0) !== BackendType.notificationResponse) return frame
  return Buffer.concat([frame.subarray(0, 5), Buffer.alloc(4), frame.subarray(9)])
}

function assertSame(actual: readonly Frame[], expected: readonly Frame[]): void {
  assert.deepEqual(actual.map(legible), expected.map(legible))
  assert.ok(Buffer.concat([...actual]).equals(Buffer.concat([...expected])))
}

/** Leaves out each Describe of a portal that stands where the original has none. */
function withoutAdded(actual: readonly Frame[], expected: readonly Frame[]): Frame[] {
  const kept: Frame[] = []
  for (const frame of actual) {
    const isAdded =
      frameType(frame, 0) === FrontendType.describe && expected[kept.length]?.equals(frame) !== true
    if (!isAdded) kept.push(frame)
  }
  return kept
}
