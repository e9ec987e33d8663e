import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Anchors } from './anchors.ts'
import { ancestryOf, parseStat, type ProcessFacts, readProcess } from './processes.ts'

const stat = (pid: number, name: string, parent: number, start: number, state = 'S'): string =>
  `${pid} (${name}) ${state} ${parent} ${pid} 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 ${start} 9 10 18446744073709551615`

const process_ = (pid: number, parent: number, startTime: number): ProcessFacts => ({
  pid,
  parent,
  session: 1,
  startTime,
  name: `p${pid}`,
  ended: false,
})

test('a name with brackets, blanks and numbers does not move the other fields', () => {
  for (const name of ['psql', 'a b', ') S 1 1 1', '((', 'x) Z 0 0']) {
    assert.deepEqual(parseStat(stat(42, name, 41, 999)), {
      pid: 42,
      parent: 41,
      session: 7,
      startTime: 999,
      name,
      ended: false,
    })
  }
  assert.equal(parseStat(stat(42, 'gone', 1, 5, 'Z'))?.ended, true)
  for (const torn of ['', '42', '42 (psql', '42 (psql) S']) assert.equal(parseStat(torn), undefined)
})

test(
  'this process and its parent are found on this system',
  { skip: process.platform !== 'linux' },
  () => {
    const ancestry = ancestryOf(process.pid)
    assert.equal(ancestry?.[0]?.pid, process.pid)
    assert.equal(ancestry?.[1]?.pid, process.ppid)
    assert.equal(readProcess(2 ** 30), undefined)
  },
)

test('a parent that is younger than its child is somebody else, and the walk is refused', () => {
  const table = new Map(
    [process_(1, 0, 0), process_(2, 1, 50), process_(3, 2, 40)].map((each) => [each.pid, each]),
  )
  assert.equal(
    ancestryOf(3, (pid) => table.get(pid)),
    undefined,
  )
})

test('a link that vanishes is walked again; what stays torn is refused', () => {
  let misses = 2
  const read = (pid: number): ProcessFacts | undefined => {
    if (pid === 2 && misses > 0) {
      misses -= 1
      return undefined
    }
    return process_(pid, pid - 1, pid)
  }
  assert.deepEqual(
    ancestryOf(3, read)?.map((each) => each.pid),
    [3, 2, 1],
  )
  assert.equal(
    ancestryOf(3, (pid) => (pid === 2 ? undefined : process_(pid, pid - 1, pid))),
    undefined,
  )
})

const shell = process_(10, 1, 10)
const outer = process_(20, 10, 20)
const outerCommand = process_(21, 20, 21)
const inner = process_(30, 21, 30)

function nested(): Anchors {
  const anchors = new Anchors()
  anchors.add(shell, 'root', 'login')
  anchors.add(outer, 'a', 'run')
  anchors.setCommand(outer, outerCommand)
  anchors.add(inner, 'b', 'run')
  return anchors
}

test('the nearest anchor says whose a process is', () => {
  const anchors = nested()
  const below = process_(31, 30, 31)
  const of = (...line: ProcessFacts[]): unknown => Reflect.get(anchors.find(line), 'agent')
  assert.equal(of(below, inner, outerCommand, outer, shell), 'b')
  assert.equal(of(outerCommand, outer, shell), 'a')
  assert.equal(of(process_(11, 10, 12), shell), 'root')
  assert.equal(of(process_(99, 1, 5)), undefined)
})

test('a number that is used again is another process', () => {
  assert.equal(nested().find([{ ...inner, startTime: 31 }]).kind, 'none')
})

test('an orphan that may be of an ended agent is not taken for the agent that adopted it', () => {
  const anchors = nested()
  anchors.end(inner, 'b')
  const orphan = process_(40, 20, 35)
  assert.equal(anchors.find([orphan, outer, shell]).kind, 'agent', 'b left an empty house')
  anchors.distrustOrphans('a', inner.startTime, 'b')
  assert.deepEqual(anchors.find([orphan, outer, shell]), { kind: 'ended', name: 'b' })
  const older = process_(25, 20, 25)
  assert.equal(anchors.find([older, outer, shell]).kind, 'agent', 'older than b')
  const own = process_(50, 21, 60)
  assert.equal(anchors.find([own, outerCommand, outer, shell]).kind, 'agent', 'no orphan')
  assert.deepEqual(anchors.find([process_(32, 30, 33), inner]), { kind: 'ended', name: 'b' })
})
