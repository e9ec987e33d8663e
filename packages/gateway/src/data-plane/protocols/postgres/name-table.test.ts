import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NameTable } from './name-table.ts'

test('a pending name counts for its own batch at once', () => {
  const names = new NameTable<string>(10)
  names.announce(1, 's', 'new')
  assert.equal(names.lookUp(1, 's'), 'new')
})

test('a later batch waits until an earlier change is settled', () => {
  const names = new NameTable<string>(10)
  names.confirm(names.announce(1, 's', 'old'))
  names.settle(1)
  names.announce(2, 's', 'new')
  assert.equal(names.lookUp(3, 's'), 'wait')
  names.settle(2)
  assert.equal(
    names.lookUp(3, 's'),
    'old',
    'a change that the target never confirmed must not count',
  )
})

test('a confirmed change counts, a removal removes', () => {
  const names = new NameTable<string>(10)
  names.confirm(names.announce(1, 's', 'a'))
  assert.equal(names.lookUp(2, 's'), 'a')
  names.confirm(names.announce(2, 's', undefined))
  assert.equal(names.lookUp(3, 's'), undefined)
})

test('removing all names hides them from the same batch and makes later ones wait', () => {
  const names = new NameTable<string>(10)
  names.confirm(names.announce(1, 's', 'a'))
  const confirm = names.removeAll(2)
  assert.equal(names.lookUp(2, 's'), undefined)
  assert.equal(names.lookUp(3, 's'), 'wait')
  confirm()
  assert.equal(names.lookUp(3, 's'), undefined)
})

test('removing all names but one leaves that one as it was', () => {
  const names = new NameTable<string>(10)
  names.confirm(names.announce(1, '', 'unnamed'))
  names.confirm(names.announce(1, 's', 'a'))
  const confirm = names.removeAll(2, '')
  assert.equal(names.lookUp(2, ''), 'unnamed')
  assert.equal(names.lookUp(3, ''), 'unnamed')
  assert.equal(names.lookUp(3, 's'), 'wait')
  confirm()
  assert.equal(names.lookUp(3, ''), 'unnamed')
  assert.equal(names.lookUp(3, 's'), undefined)
})

test('the table says when it is full', () => {
  const names = new NameTable<string>(2)
  names.confirm(names.announce(1, 'a', 'x'))
  assert.equal(names.isFull, false)
  names.announce(1, 'b', 'x')
  assert.equal(names.isFull, true)
})

test('the unnamed statement keeps no text waiting, since no text can mean it', () => {
  const names = new NameTable<string>(10)
  names.announce(1, '', 'unnamed')
  assert.ok(names.isSettled)
  names.announce(1, 's', 'named')
  assert.ok(!names.isSettled)
})
