import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DecisionFilter } from './steps.ts'
import type { Step } from '../contract/sessions.ts'

const command = (seq: number, decision?: Step['decision']): Step => ({
  kind: 'command',
  seq,
  ...(decision === undefined ? {} : { decision }),
  text: `run ${seq}\n`,
})
const masked = (seq: number): Step => ({
  kind: 'masked',
  seq,
  decision: 'masked',
  text: `m${seq}\n`,
})
const refused = (seq: number): Step => ({
  kind: 'refused',
  seq,
  decision: 'refused',
  text: `r${seq}\n`,
})
const end = (seq: number, goesOn?: true): Step => ({
  kind: 'response.end',
  seq,
  ...(goesOn === undefined ? {} : { goesOn }),
  text: `end ${seq}\n`,
})

function left(steps: readonly Step[]): string[] {
  const filter = new DecisionFilter()
  return steps.flatMap((step) => filter.take(step)).map(({ text }) => text.trim())
}

test('what was blocked, held, refused or masked is left, each with its command and end', () => {
  const steps = [
    { kind: 'session.opened', text: 'opened\n' } as const,
    command(1),
    end(1),
    command(2, 'blocked'),
    refused(2),
    command(3),
    command(4),
    masked(3),
    end(3),
    end(4),
    command(5),
    refused(5),
    { kind: 'session.closed', text: 'closed\n' } as const,
  ]
  assert.deepEqual(left(steps), [
    'opened',
    'run 2',
    'r2',
    'run 3',
    'm3',
    'end 3',
    'run 5',
    'r5',
    'closed',
  ])
})

test('an answer that goes on may be masked later', () => {
  const steps = [command(1), end(1, true), masked(1), end(1)]
  assert.deepEqual(left(steps), ['run 1', 'end 1', 'm1', 'end 1'])
})

test('commands that are never answered do not fill memory, and the newest are still known', () => {
  const many = Array.from({ length: 5000 }, (_, at) => command(at + 1))
  assert.deepEqual(left([...many, masked(5000), masked(1)]), ['run 5000', 'm5000', 'm1'])
})
