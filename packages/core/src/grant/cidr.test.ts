import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import test from 'node:test'
import fc from 'fast-check'
import { cidrHolds, cidrLeq, parseAddress, parseCidr, printCidr, type Cidr } from './cidr.ts'

function cidr(text: string): Cidr {
  const parsed = parseCidr(text)
  if (typeof parsed === 'string') assert.fail(parsed)
  return parsed
}

for (const [network, address, expected] of [
  ['10.0.0.0/8', '10.255.0.1', true],
  ['10.0.0.0/8', '11.0.0.0', false],
  ['10.0.0.0/8', '::ffff:10.1.2.3', true],
  ['10.0.0.0/8', '::ffff:a01:203', true],
  ['::ffff:10.0.0.0/104', '10.9.9.9', true],
  ['0.0.0.0/0', '::1', false],
  ['::/0', '10.0.0.1', false],
  ['::/0', '::1', true],
  ['fd00::/8', 'FD12::1%eth0', true],
  ['fe80::1/128', 'fe80::2', false],
  ['10.0.0.1/32', '10.0.0.1', true],
  ['10.0.0.1/32', '010.0.0.1', false],
] as const) {
  test(`${network} ${expected ? 'holds' : 'does not hold'} ${address}`, () => {
    const parsed = parseAddress(address)
    assert.equal(parsed !== undefined && cidrHolds(cidr(network), parsed), expected)
  })
}

for (const text of [
  '',
  '10.0.0.1',
  '10.0.0.1/8',
  '10.0.0.0/33',
  '10.0.0.0/08',
  '10.0.0.0/-1',
  '10.0.0/8',
  '256.0.0.0/8',
  '::ffff:0.0.0.0/95',
  'fd00::/129',
  'fd00::1/8',
  '1::2::3/128',
  'fe80::1%eth0/128',
  'localhost/8',
]) {
  test(`the network ${text} is refused`, () => {
    assert.equal(typeof parseCidr(text), 'string')
  })
}

test('addresses are read as the platform reads them', () => {
  const groups = fc.array(fc.constantFrom('0', 'ffff', '1', '', '12345', 'g', '10.0.0.1'), {
    maxLength: 9,
  })
  const texts = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    groups.map((parts) => parts.join(':')),
  )
  fc.assert(
    fc.property(texts, (text) => {
      assert.equal(parseAddress(text) !== undefined, isIP(text) !== 0, text)
    }),
    { numRuns: 2_000 },
  )
})

test('a printed network is read back as the same', () => {
  const networks = fc.oneof(
    fc.tuple(fc.ipV4(), fc.nat(32)),
    fc.tuple(fc.ipV6(), fc.nat(128)),
    fc.tuple(fc.constantFrom('::', '1::', '::1', '1:0:0:2::', '1:0:0:2:0:0:0:3'), fc.nat(128)),
  )
  fc.assert(
    fc.property(networks, ([address, prefix]) => {
      const parsed = parseCidr(`${address}/${prefix}`)
      const suggested =
        typeof parsed === 'string' ? /write (?<network>\S+)$/u.exec(parsed)?.groups : undefined
      if (typeof parsed === 'string' && suggested === undefined) return
      const network = suggested?.['network'] ?? `${address}/${prefix}`
      assert.deepEqual(cidr(printCidr(cidr(network))), cidr(network))
    }),
    { numRuns: 1_000 },
  )
  assert.equal(printCidr(cidr('1:0:0:2:0:0:0:0/64')), '1:0:0:2::/64')
  assert.equal(printCidr(cidr('2001:DB8:0:1:0:0:0:1/128')), '2001:db8:0:1::1/128')
  assert.equal(printCidr(cidr('0:0:0:0:0:0:0:0/0')), '::/0')
  assert.equal(printCidr(cidr('10:0:0:1:0:0:0:1/128')), '10:0:0:1::1/128')
})

test('a network lies within a wider one of its own family', () => {
  assert.equal(cidrLeq(cidr('10.1.0.0/16'), cidr('10.0.0.0/8')), true)
  assert.equal(cidrLeq(cidr('10.0.0.0/8'), cidr('10.1.0.0/16')), false)
  assert.equal(cidrLeq(cidr('10.0.0.0/8'), cidr('::/0')), false)
})
