import assert from 'node:assert/strict'
import test from 'node:test'
import { hoursHold, hoursHoldUntil, hoursLeq, parseHours, type Hours } from './hours.ts'

function hours(text: string): Hours {
  const parsed = parseHours(text)
  if (typeof parsed === 'string') assert.fail(parsed)
  return parsed
}

for (const [text, instant, expected] of [
  ['Mon-Fri 08:00-19:00 Europe/Berlin', '2026-11-20T07:00Z', true],
  ['Mon-Fri 08:00-19:00 Europe/Berlin', '2026-11-20T06:59Z', false],
  ['Mon-Fri 08:00-19:00 Europe/Berlin', '2026-11-20T18:00Z', false],
  ['Mon-Fri 08:00-19:00 Europe/Berlin', '2026-11-21T12:00Z', false],
  // In summer the clocks of Berlin are two hours ahead.
  ['Mon-Fri 08:00-19:00 Europe/Berlin', '2026-07-17T06:00Z', true],
  ['Mon-Fri 08:00-19:00 Europe/Berlin', '2026-07-17T17:00Z', false],
  // The night that starts on Friday goes on until Saturday morning.
  ['Fri 22:00-06:00 UTC', '2026-11-20T21:59Z', false],
  ['Fri 22:00-06:00 UTC', '2026-11-20T22:00Z', true],
  ['Fri 22:00-06:00 UTC', '2026-11-21T05:59Z', true],
  ['Fri 22:00-06:00 UTC', '2026-11-21T06:00Z', false],
  ['Fri 22:00-06:00 UTC', '2026-11-20T05:00Z', false],
  // The night that starts on Sunday reaches into the next week.
  ['Sun 22:00-06:00 UTC', '2026-11-23T05:00Z', true],
  ['Sat-Mon 00:00-24:00 UTC', '2026-11-22T12:00Z', true],
  ['Sat-Mon 00:00-24:00 UTC', '2026-11-24T00:00Z', false],
  ['00:00-24:00 Asia/Kathmandu', '2026-11-24T00:00Z', true],
  ['05:45-05:46 Asia/Kathmandu', '2026-11-24T00:00Z', true],
] as const) {
  test(`${text} ${expected ? 'holds' : 'does not hold'} at ${instant}`, () => {
    assert.equal(hoursHold(hours(text), Date.parse(instant)), expected)
  })
}

test('the local time of one minute is not taken for that of another', () => {
  const night = hours('00:00-01:00 UTC')
  assert.equal(hoursHold(night, 0), true)
  assert.equal(hoursHold(night, 3_600_000), false)
  assert.equal(hoursHold(night, 3_599_999), true)
  assert.equal(hoursHoldUntil(3_599_999), 3_600_000)
})

test('hours never hold at an instant that is none', () => {
  assert.equal(hoursHold(hours('00:00-24:00 UTC'), NaN), false)
  assert.equal(hoursHold(hours('00:00-24:00 UTC'), 1e300), false)
})

for (const text of [
  '',
  'Mon-Fri 8:00-19:00 UTC',
  'Mon-Fri 08:00-19:00',
  'Mo-Fr 08:00-19:00 UTC',
  'Mon-Fri-Sun 08:00-19:00 UTC',
  'Mon, 08:00-19:00 UTC',
  'Mon 08:00-08:00 UTC',
  'Mon 24:00-08:00 UTC',
  'Mon 08:60-09:00 UTC',
  'Mon 08:00-25:00 UTC',
  'Mon 08:00-09:00 Europe/Atlantis',
  'Mon 08:00-09:00 UTC; DROP',
]) {
  test(`the hours ${text} are refused`, () => {
    assert.equal(typeof parseHours(text), 'string')
  })
}

test('hours lie within others of the same zone', () => {
  assert.equal(hoursLeq(hours('Tue 09:00-10:00 UTC'), hours('Mon-Fri 08:00-19:00 UTC')), true)
  assert.equal(hoursLeq(hours('Sat 00:00-03:00 UTC'), hours('Fri 22:00-06:00 UTC')), true)
  assert.equal(hoursLeq(hours('Sat 00:00-07:00 UTC'), hours('Fri 22:00-06:00 UTC')), false)
  assert.equal(hoursLeq(hours('09:00-10:00 UTC'), hours('09:00-10:00 Europe/Berlin')), false)
})
