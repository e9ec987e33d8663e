import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { findDetections } from './detect/find-detections.ts'
import { fakeText } from './fake-text.ts'
import { MaskKey } from './mask-key.ts'

const key = new MaskKey(Buffer.alloc(32, 7))
const fake = (text: string): string => fakeText(text, key) ?? 'none'

test('a fake keeps the form: letters for letters, digits for digits, signs where they were', () => {
  assert.match(fake('Anna-Lena O’Meier'), /^[A-Z][a-z]{3}-[A-Z][a-z]{3} [A-Z]’[A-Z][a-z]{4}$/)
  assert.match(fake('+49 (30) 123-4567'), /^\+[0-9]{2} \([0-9]{2}\) [0-9]{3}-[0-9]{4}$/)
  assert.match(fake('Straße 東京 7'), /^[A-Z][a-z]{5} [a-z]{2} [0-9]$/)
  assert.equal(fake(''), '')
})

test('a fake is never longer than its text, stays equal for equal texts, and shows no text of some length', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.emailAddress(),
    fc.stringMatching(/^[A-Za-z0-9]{8,40}$/),
  )
  fc.assert(
    fc.property(text, (value) => {
      const made = fake(value)
      assert.ok(made.length <= value.length)
      assert.equal(made, fake(value))
      if (/^[A-Za-z0-9]{8,}$/.test(value)) assert.notEqual(made, value)
    }),
  )
  const other = new MaskKey(Buffer.alloc(32, 8))
  assert.notEqual(fakeText('Anna Meier', other), fake('Anna Meier'))
  assert.equal(fakeText('x'.repeat(257), key), undefined)
})

test('a fake address is one, and reaches nobody', () => {
  fc.assert(
    fc.property(fc.emailAddress(), (address) => {
      const made = fake(address)
      const domain = address.slice(address.lastIndexOf('@') + 1)
      if (domain.length >= 11) assert.match(made, /^[^@]+@example\.com$/)
      else assert.match(made, /^[^@]+@[^@]+$/)
    }),
  )
})

test('fakes of card numbers and IBANs have right check digits', () => {
  for (const card of ['4111 1111 1111 1111', '378282246310005', '5500-0000-0000-0004']) {
    const made = fake(card)
    assert.notEqual(made, card)
    assert.equal(made.replace(/[0-9]/g, '0'), card.replace(/[0-9]/g, '0'))
    assert.ok(isLuhn(made.replace(/[^0-9]/g, '')), made)
  }
  for (const iban of ['DE89370400440532013000', 'GB82 WEST 1234 5698 7654 32']) {
    const made = fake(iban)
    assert.notEqual(made, iban)
    assert.equal(findDetections(made, ['iban'])[0]?.end, iban.length, made)
  }
})

function isLuhn(digits: string): boolean {
  const sum = Array.from(digits)
    .toReversed()
    .reduce((total, digit, at) => {
      const value = Number(digit) * (at % 2 === 0 ? 1 : 2)
      return total + (value > 9 ? value - 9 : value)
    }, 0)
  return sum % 10 === 0
}
