import type { MaskFunction } from '../../verdict.ts'
import { BLOCK, strongest, type Block } from '../mask-function.ts'
import type { MaskKey } from '../mask-key.ts'
import { maskText, SENTINEL } from '../mask-text.ts'
import { DETECTORS, expandDetectors, type DetectorForm } from './detectors.ts'
import { findForm, type Detection } from './find-detections.ts'
import { hasSigns, readSigns, SIGN } from './signs.ts'

/** What to look for in values, and what to do with it. */
export interface DetectRule {
  readonly detect: readonly string[]
  readonly with: MaskFunction
  /** Who asked, for counting. */
  readonly rule?: string
}

/** How the text around a finding is built, so that a mask can't break it. */
export type Syntax = 'plain' | 'json' | 'structured'

/** A masked text with the rules that changed it; `text` is null where the whole value has to go. */
export interface MaskedDetections {
  readonly text: string | null | Block
  readonly rules: readonly string[]
}

interface ActiveForm {
  readonly form: DetectorForm
  readonly rule: DetectRule
  /** Findings of this form carry the position of their rule as a name. */
  readonly name: string
}

/** Other sessions wait while a value is searched; the worst text of this length takes some hundred milliseconds. */
const searchedCharactersMax = 1024 * 1024

const jsonToken = /"(?:[^"\\]|\\[\s\S])*"|-?[0-9][0-9.eE+-]*/g
const syntaxCharacters = /[{}()[\]",\\<>&';]/

/** Masks what `rules` look for. Undefined where nothing is found, so that the caller can keep the value as it is. */
export function maskDetections(
  text: string,
  rules: readonly DetectRule[],
  key: MaskKey,
): string | null | Block | undefined {
  return new DetectorSet(rules, key).mask(text, 'plain')?.text
}

/** Detection rules made ready for many values. */
export class DetectorSet {
  readonly #forms: readonly ActiveForm[]
  readonly #rules: readonly DetectRule[]
  readonly #key: MaskKey
  /** The rule that looks for secrets by their names. */
  readonly #assigned: DetectRule | undefined

  constructor(rules: readonly DetectRule[], key: MaskKey) {
    this.#rules = rules
    this.#key = key
    this.#assigned = rules.find((rule) => expandDetectors(rule.detect).includes('generic_secret'))
    this.#forms = rules.flatMap((rule, index) =>
      expandDetectors(rule.detect)
        .flatMap((name) => DETECTORS.get(name) ?? [])
        .map((form) => ({ form, rule, name: String(index) })),
    )
  }

  /** False where no detector can match: one pass over the bytes, which settles most values. */
  mayMatch(bytes: Uint8Array, start: number, end: number, syntax: Syntax): boolean {
    const signs = readSigns(bytes, start, end)
    // A JSON escape may hide any sign.
    if (syntax === 'json' && (signs & SIGN.backslash) !== 0) return true
    for (const { form } of this.#forms) if (hasSigns(signs, form.signs, form.digits)) return true
    return false
  }

  /** Masks the findings in a text; undefined where there are none. A text that is too long to be searched is withheld whole. */
  mask(text: string, syntax: Syntax): MaskedDetections | undefined {
    if (text.length > searchedCharactersMax) return this.#withheld()
    return syntax === 'json' ? this.#maskJson(text) : this.#maskPlain(text, syntax)
  }

  #withheld(): MaskedDetections {
    const isBlocked = this.#rules.some((rule) => rule.with === 'block')
    const rules = this.#rules.map((rule) => rule.rule ?? '')
    return { text: isBlocked ? BLOCK : null, rules: [...new Set(rules)] }
  }

  #maskPlain(text: string, syntax: Syntax): MaskedDetections | undefined {
    const found = this.#find(text)
    if (found.length === 0) return undefined
    const rules = new Set<string>()
    let out = ''
    let at = 0
    for (const span of merge(found)) {
      const fn = strongest(span.names.map((name) => this.#ruleOf(name).with))
      for (const name of span.names) rules.add(this.#ruleOf(name).rule ?? '')
      const masked = maskText(fn, text.slice(span.start, span.end), this.#key)
      if (typeof masked !== 'string') return { text: masked, rules: [...rules] }
      const breaks = syntax === 'structured' && syntaxCharacters.test(masked)
      out += text.slice(at, span.start) + (breaks ? SENTINEL : masked)
      at = span.end
    }
    return { text: out + text.slice(at), rules: [...rules] }
  }

  /** Strings are searched as they read, without their escapes; a number that is found becomes null. */
  #maskJson(text: string): MaskedDetections | undefined {
    const rules = new Set<string>()
    let blocked = false
    let key = ''
    const out = text.replace(jsonToken, (token, at: number) => {
      const isString = token.startsWith('"')
      const isKey = isString && /^\s*:/.test(text.slice(at + token.length, at + token.length + 16))
      const value = isString ? unquote(token) : token
      const result =
        this.#maskPlain(value, 'plain') ?? (isKey ? undefined : this.#named(key, value))
      key = isKey ? value : ''
      if (result === undefined) return token
      for (const rule of result.rules) rules.add(rule)
      if (result.text === BLOCK) blocked = true
      if (typeof result.text === 'string' && isString) return JSON.stringify(result.text)
      return isKey ? JSON.stringify(SENTINEL) : 'null'
    })
    if (rules.size === 0) return undefined
    return { text: blocked ? BLOCK : out, rules: [...rules] }
  }

  /** In JSON a secret's name is the key beside it. */
  #named(key: string, value: string): MaskedDetections | undefined {
    const rule = this.#assigned
    if (rule === undefined || key === '') return undefined
    const found: Detection[] = []
    for (const form of DETECTORS.get('generic_secret') ?? [])
      findForm(`${key}=${value}`, '', form, found)
    if (found.length === 0) return undefined
    return { text: maskText(rule.with, value, this.#key), rules: [rule.rule ?? ''] }
  }

  #find(text: string): Detection[] {
    const found: Detection[] = []
    const signs = signsOf(text)
    for (const { form, name } of this.#forms) {
      if (hasSigns(signs, form.signs, form.digits)) findForm(text, name, form, found)
    }
    return found
  }

  #ruleOf(name: string): DetectRule {
    return this.#rules[Number(name)] ?? { detect: [], with: 'redact' }
  }
}

function signsOf(text: string): number {
  const bytes = Buffer.from(text, 'latin1')
  return readSigns(bytes, 0, bytes.length)
}

function unquote(token: string): string {
  if (!token.includes('\\')) return token.slice(1, -1)
  try {
    const parsed: unknown = JSON.parse(token)
    return typeof parsed === 'string' ? parsed : token
  } catch {
    // Not quite JSON: search the text as it stands.
    return token.slice(1, -1)
  }
}

interface Span {
  start: number
  end: number
  names: string[]
}

/** Findings that overlap become one, so that no part of either is left. */
function merge(found: readonly Detection[]): Span[] {
  const spans: Span[] = []
  for (const { name, start, end } of found.toSorted((a, b) => a.start - b.start)) {
    const last = spans.at(-1)
    if (last === undefined || start >= last.end) spans.push({ start, end, names: [name] })
    else {
      last.end = Math.max(last.end, end)
      last.names.push(name)
    }
  }
  return spans
}
