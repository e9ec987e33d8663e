import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

interface LockedPackage {
  readonly version?: string
  readonly link?: boolean
  readonly dev?: boolean
  readonly optional?: boolean
  readonly devOptional?: boolean
  readonly integrity?: string
}

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, LockedPackage>
}
const locked = Object.entries(lock.packages).filter(
  ([path, { link }]) => path.includes('node_modules/') && link !== true,
)

/** Each runtime package is trusted with every credential; the number is a budget that a review may raise. */
const runtimePackagesMax = 110
const runtimeLicences = [
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  'MIT-0',
  '0BSD',
]
/** Tools never reach a user. */
const developmentLicences = [
  ...runtimeLicences,
  'MPL-2.0',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'Unlicense',
  // How xml-escape, which samlify brings along, calls MIT.
  'MIT License',
]

const isRuntime = ({ dev, optional, devOptional }: LockedPackage): boolean =>
  dev !== true && optional !== true && devOptional !== true

test('runtime packages stay within their budget', () => {
  const runtime = locked.filter(([, entry]) => isRuntime(entry)).map(([path]) => path)
  assert.ok(runtime.length > 5, 'too few packages were seen')
  assert.ok(runtime.length <= runtimePackagesMax, `${runtime.length}: ${runtime.join(', ')}`)
})

test('the lockfile pins every package by its contents', () => {
  const loose = locked.filter(([, { integrity }]) => integrity === undefined)
  assert.deepEqual(
    loose.map(([path]) => path),
    [],
  )
})

test('licences are permissive', () => {
  const installed = locked.filter(([path]) => existsSync(`${path}/package.json`))
  assert.ok(installed.length > 20, 'too few packages were seen')
  for (const [path, entry] of installed) {
    const allowed = isRuntime(entry) ? runtimeLicences : developmentLicences
    const licence = licenceOf(path)
    assert.ok(isAllowed(licence, allowed), `${path} has the licence ${licence}`)
  }
})

test('a licence expression passes only where one side of an OR is allowed', () => {
  assert.ok(isAllowed('(MIT OR GPL-3.0)', runtimeLicences))
  assert.equal(isAllowed('GPL-3.0', runtimeLicences), false)
  assert.equal(isAllowed('MIT AND GPL-3.0', runtimeLicences), false)
})

function licenceOf(path: string): string {
  const manifest = JSON.parse(readFileSync(`${path}/package.json`, 'utf8')) as {
    license?: string | { type?: string }
  }
  const { license } = manifest
  return typeof license === 'string' ? license : (license?.type ?? 'none')
}

function isAllowed(expression: string, allowed: readonly string[]): boolean {
  const choices = expression.replaceAll(/[()]/g, '').split(' OR ')
  return choices.some((choice) =>
    choice.split(' AND ').every((part) => allowed.includes(part.trim())),
  )
}
