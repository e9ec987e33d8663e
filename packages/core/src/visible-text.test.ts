import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { visibleJson, visibleText } from './visible-text.ts'

test('escape sequences, line breaks and turns of direction are written out', () => {
  assert.equal(
    visibleText('a\u001B]0;title\u0007b\u009B2Jc\r\nd\te\u202Ef\u2028g\u007F'),
    String.raw`a\x1b]0;title\x07b\x9b2Jc\x0d\x0ad` + '\te' + String.raw`\u202ef\u2028g\x7f`,
  )
})

/** Control characters but tabs, and what turns the direction of text. */
const steering = /[^\P{Cc}\t]|[\u202A-\u202E\u2066-\u2069]/u
const nasty = fc.string({
  unit: fc.oneof(fc.constantFrom('\u001B', '\u009B', '\u202E', '\n'), fc.string()),
})

test('nothing that steers a terminal passes, whatever the text', () => {
  fc.assert(
    fc.property(nasty, (text) => {
      assert.doesNotMatch(visibleText(text), steering)
    }),
  )
})

test('JSON that is written out reads as what it was', () => {
  fc.assert(
    fc.property(nasty, (text) => {
      const json = visibleJson(JSON.stringify({ text }))
      assert.doesNotMatch(json, steering)
      assert.deepEqual(JSON.parse(json), { text })
    }),
  )
})
