import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Command, DecisionId, Refusal, Verdict } from '@sallyport/core'
import type { StoredEntry } from '../journal/stored-entry.ts'
import { runCommand, type Leave, type Stages } from './run-command.ts'

const entry = { seq: 1 } as StoredEntry
const command = { text: 'select 1' } as Command
const common = { id: 'd_1' as DecisionId, rules: [], policyVersion: 1 }
const reason: Refusal = { code: 'SP_NOT_GRANTED', message: 'no', detail: '', hint: '' }
const allow: Extract<Verdict, { effect: 'allow' }> = { ...common, effect: 'allow', masks: [] }
const approve: Verdict = { ...common, effect: 'approve', masks: [], demands: [], reason }

/** What was done with one command, in order. */
async function run(
  verdict: Verdict,
  after: { hold?: Leave | Refusal; recheck?: Refusal } = {},
): Promise<string[]> {
  const done: string[] = []
  const stages: Stages<string> = {
    classify: () => (done.push('classify'), command),
    decide: () => (done.push('decide'), verdict),
    recordVerdict: async () => {
      await new Promise(setImmediate)
      done.push('recorded')
      return entry
    },
    hold: async () => {
      await new Promise(setImmediate)
      done.push('held')
      return after.hold ?? { entry, verdict: allow }
    },
    recheck: () => (done.push('recheck'), after.recheck),
    forward: (_unit, _permit, answer) => void done.push(`forward ${answer.masks.length}`),
    refuse: (_unit, { code }) => void done.push(`refuse ${code}`),
  }
  await runCommand('unit', stages)
  return done
}

const before = ['classify', 'decide', 'recorded']

suite('the pipeline', () => {
  test('forwards what may run once it is recorded and was looked at once more', async () => {
    assert.deepEqual(await run(allow), [...before, 'recheck', 'forward 0'])
  })

  test('forwards nothing of an agent that was narrowed or taken away while it was recorded', async () => {
    const ended: Refusal = { ...reason, code: 'SP_AGENT_REVOKED' }
    const refused = [...before, 'recheck', 'refuse SP_AGENT_REVOKED']
    assert.deepEqual(await run(allow, { recheck: ended }), refused)
    const held = [...before, 'held', 'recheck', 'refuse SP_AGENT_REVOKED']
    assert.deepEqual(await run(approve, { recheck: ended }), held)
  })

  test('refuses what is blocked, and what was held and not approved', async () => {
    assert.deepEqual(await run({ ...common, effect: 'block', reason }), [
      ...before,
      'refuse SP_NOT_GRANTED',
    ])
    const denied: Refusal = { ...reason, code: 'SP_APPROVAL_DENIED' }
    assert.deepEqual(await run(approve, { hold: denied }), [
      ...before,
      'held',
      'refuse SP_APPROVAL_DENIED',
    ])
  })

  test('masks what was approved as it is judged then', async () => {
    const mask = {
      rule: 'r',
      columns: [],
      detect: ['email'],
      with: 'redact',
      unresolved: 'mask',
    } as const
    const hold = { entry, verdict: { ...allow, masks: [mask] } }
    assert.deepEqual(await run(approve, { hold }), [...before, 'held', 'recheck', 'forward 1'])
  })
})
