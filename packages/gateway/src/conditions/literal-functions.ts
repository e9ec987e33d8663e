import { Buffer } from 'node:buffer'
import { BlockList, isIP } from 'node:net'
import type { CostMeter } from '@sallyport/core'
import { RE2JS } from 're2js'
import { compileGlob, GLOB_LENGTH_MAX } from './fact-glob.ts'
import { compileWindow } from './time-window.ts'

/** Functions whose argument must be a literal, so that it is compiled when a policy is loaded. */
export const literalFunctions: ReadonlySet<string> = new Set([
  'matches',
  'glob',
  'anyGlob',
  'inCidr',
  'within',
])

/** RE2 compiles longer patterns too, but nobody can review them. */
const PATTERN_LENGTH_MAX = 512
/** RE2 in JavaScript takes about 1 ms for 4 KiB. */
export const SUBJECT_BYTES_MAX = 16_384

/** Ends an evaluation with the named outcome. */
export class EvaluationStop extends Error {
  readonly outcome: 'cost' | 'type' | 'subject-too-long'

  constructor(outcome: 'cost' | 'type' | 'subject-too-long') {
    super(outcome)
    this.outcome = outcome
  }
}

const patterns = new Map<string, RE2JS>()
const globs = new Map<string, (subject: string) => boolean>()
const networks = new Map<string, BlockList>()
const windows = new Map<string, (at: Date) => boolean>()

/** Compiles the literal argument of a function; returns what is wrong with it. */
export function literalProblem(name: string, literal: string): string | undefined {
  switch (name) {
    case 'matches':
      return prepareMatches(literal)
    case 'inCidr':
      return prepareNetwork(literal)
    case 'within':
      return prepareWindow(literal)
    default:
      return prepareGlob(literal)
  }
}

function prepareMatches(pattern: string): string | undefined {
  if (pattern.length > PATTERN_LENGTH_MAX) {
    return `this pattern has ${pattern.length} characters; the limit is ${PATTERN_LENGTH_MAX}`
  }
  try {
    if (!patterns.has(pattern)) patterns.set(pattern, RE2JS.compile(pattern))
    return undefined
  } catch (error) {
    const why = error instanceof Error ? error.message : 'it does not compile'
    return `this pattern is not RE2: ${why}`
  }
}

function prepareGlob(pattern: string): string | undefined {
  if (pattern.length > GLOB_LENGTH_MAX) {
    return `this glob has ${pattern.length} characters; the limit is ${GLOB_LENGTH_MAX}`
  }
  if (!globs.has(pattern)) globs.set(pattern, compileGlob(pattern))
  return undefined
}

function prepareNetwork(text: string): string | undefined {
  const [address = '', bits = '', ...rest] = text.split('/')
  const version = isIP(address)
  const length = Number(bits)
  const longest = version === 4 ? 32 : 128
  if (version === 0 || rest.length > 0 || !/^\d{1,3}$/u.test(bits) || length > longest) {
    return `"${text}" is not a network such as 10.0.0.0/8`
  }
  const list = new BlockList()
  list.addSubnet(address, length, version === 4 ? 'ipv4' : 'ipv6')
  networks.set(text, list)
  return undefined
}

function prepareWindow(text: string): string | undefined {
  const window = compileWindow(text)
  if (window === undefined) {
    return `"${text}" is not a time window such as Mon-Fri 08:00-19:00 Europe/Berlin`
  }
  windows.set(text, window)
  return undefined
}

/** Evaluates `matches` in time linear in the subject, within the limits of the decision. */
export function evaluateMatches(subject: string, pattern: string, meter: CostMeter): boolean {
  checkSubject(subject)
  meter.matched -= subject.length
  if (meter.matched < 0) throw new EvaluationStop('cost')
  return prepared(patterns, pattern).test(subject)
}

/** Evaluates `glob`. */
export function evaluateGlob(subject: string, pattern: string): boolean {
  checkSubject(subject)
  return prepared(globs, pattern)(subject)
}

/** Evaluates `inCidr`. An IPv4 address in its IPv6 form is the IPv4 address. */
export function evaluateInCidr(ip: string, network: string): boolean {
  const address = ip.replace(/^::ffff:(?=\d+\.)/iu, '')
  const version = isIP(address)
  if (version === 0) throw new EvaluationStop('type')
  return prepared(networks, network).check(address, version === 4 ? 'ipv4' : 'ipv6')
}

/** Evaluates `within`. */
export function evaluateWithin(at: Date, window: string): boolean {
  return prepared(windows, window)(at)
}

function checkSubject(subject: string): void {
  if (subject.length * 3 <= SUBJECT_BYTES_MAX) return
  if (Buffer.byteLength(subject) > SUBJECT_BYTES_MAX) throw new EvaluationStop('subject-too-long')
}

function prepared<T>(made: ReadonlyMap<string, T>, literal: string): T {
  const found = made.get(literal)
  if (found === undefined) throw new EvaluationStop('type')
  return found
}
