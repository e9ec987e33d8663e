import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isMaskFunction, strongest } from './mask-function.ts'

test('the strongest function wins, and a coarser step beats a finer one', () => {
  assert.equal(strongest(['partial', 'hash', 'last4']), 'hash')
  assert.equal(strongest(['redact', 'null', 'token']), 'null')
  assert.equal(strongest(['round:10', 'round:100']), 'round:100')
  assert.equal(strongest(['round:day', 'round:year', 'round:month']), 'round:year')
  assert.equal(strongest([]), 'redact')
})

test('only the functions of the policy language have names', () => {
  for (const name of ['block', 'null', 'redact', 'round:10', 'round:month'])
    assert.ok(isMaskFunction(name), name)
  for (const name of ['round', 'round:', 'round:0', 'round:-1', 'round:week', 'clear', ''])
    assert.ok(!isMaskFunction(name), name)
})
