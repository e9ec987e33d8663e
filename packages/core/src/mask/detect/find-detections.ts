import { isCard } from './checks.ts'
import { DETECTORS, expandDetectors, type DetectorForm } from './detectors.ts'

/** Where a detector found something: the characters from `start` to `end`. */
export interface Detection {
  readonly name: string
  readonly start: number
  readonly end: number
}

/** The longest card number. */
const cardDigitsMax = 19
const cardDigitsMin = 12

/** All that the named detectors or groups find in a text, in order of position. */
export function findDetections(text: string, names: readonly string[]): Detection[] {
  const found: Detection[] = []
  for (const name of expandDetectors(names)) {
    for (const form of DETECTORS.get(name) ?? []) findForm(text, name, form, found)
  }
  return found.sort((a, b) => a.start - b.start || b.end - a.end)
}

/** Adds what one form of a detector finds. */
export function findForm(text: string, name: string, form: DetectorForm, into: Detection[]): void {
  // A pattern with the global flag keeps its place in itself, so it has to start anew for each text.
  form.pattern.lastIndex = 0
  for (;;) {
    const match = form.pattern.exec(text)
    if (match === null) return
    const [matched] = match
    if (form.card === true) {
      findCards(matched, match.index, name, into)
      continue
    }
    const length = form.check === undefined ? matched.length : form.check(matched)
    if (length > 0) into.push({ name, start: match.index, end: match.index + length })
    // What the check refused may hide a value that starts inside.
    else form.pattern.lastIndex = match.index + nextStart(matched)
  }
}

/** The first place after a word or group of the refused match; one character on where there is none. */
function nextStart(matched: string): number {
  const gap = matched.search(/[\s-]/)
  return gap < 0 ? matched.length : gap + 1
}

/** A run of digit groups may hold a card between other numbers: it starts and ends where a group does. */
function findCards(run: string, offset: number, name: string, into: Detection[]): void {
  let digits = ''
  /** Places of the digits in the run, and whether a group begins or ends with them. */
  const places: number[] = []
  for (let at = 0; at < run.length; at += 1) {
    if (!isDigit(run.charCodeAt(at))) continue
    digits += run.charAt(at)
    places.push(at)
  }
  const isStart = (at: number): boolean =>
    at === 0 || !isDigit(run.charCodeAt((places[at] ?? 0) - 1))
  const isEnd = (at: number): boolean => !isDigit(run.charCodeAt((places[at] ?? 0) + 1))
  for (let first = 0; first + cardDigitsMin <= digits.length; first += 1) {
    if (!isStart(first)) continue
    const last = cardEnd(digits, first, isEnd)
    if (last === undefined) continue
    const end = offset + (places[last] ?? 0) + 1
    into.push({ name, start: offset + (places[first] ?? 0), end })
    first = last
  }
}

function cardEnd(
  digits: string,
  first: number,
  isEnd: (at: number) => boolean,
): number | undefined {
  for (let length = cardDigitsMin; length <= cardDigitsMax; length += 1) {
    const last = first + length - 1
    if (last >= digits.length) return undefined
    if (isEnd(last) && isCard(digits, first, last + 1)) return last
  }
  return undefined
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}
