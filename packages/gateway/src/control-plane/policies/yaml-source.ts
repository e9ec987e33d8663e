import { isScalar, LineCounter, parseAllDocuments, type Document, type Node } from 'yaml'
import type { ConfigProblem } from './config-problem.ts'

/** One YAML file, its documents, and the problems found in it. */
export class YamlSource {
  readonly file: string
  readonly documents: readonly Document[]
  readonly problems: ConfigProblem[] = []
  readonly #text: string
  readonly #lines = new LineCounter()

  constructor(file: string, text: string) {
    this.file = file
    this.#text = text
    const parsed = parseAllDocuments(text, { lineCounter: this.#lines, prettyErrors: false })
    this.documents = Array.isArray(parsed) ? parsed : []
    for (const document of this.documents) {
      for (const error of document.errors) {
        this.reportRange(error.message, '', '', error.pos[0], error.pos[1], 'syntax')
      }
    }
  }

  /** Reports a problem with a node; a file without one is marked at its start. */
  report(
    message: string,
    hint: string,
    path: string,
    node: Node | null | undefined,
    check?: string,
  ): void {
    const [start, end] = node?.range ?? [0, 0]
    this.reportRange(message, hint, path, start, end, check)
  }

  reportRange(
    message: string,
    hint: string,
    path: string,
    start: number,
    end: number,
    check?: string,
  ): void {
    const { line, col: column } = this.#lines.linePos(start)
    const lineNumber = Math.max(1, line)
    const sourceLine = this.#text.split('\n')[lineNumber - 1]?.replace(/\r$/u, '') ?? ''
    const from = Math.max(1, column)
    const length = Math.max(1, Math.min(end - start, sourceLine.length - from + 1))
    const place = { file: this.file, line: lineNumber, column: from, length }
    const named = check === undefined ? {} : { check }
    this.problems.push({ message, hint, ...place, path, sourceLine, ...named })
  }

  /** `policies/prod.yaml:39`. */
  at(node: Node | null | undefined): string {
    return `${this.file}:${this.#lines.linePos(node?.range?.[0] ?? 0).line}`
  }

  /** Reports a problem at offsets into the value of a scalar, wherever its characters stand in the file. */
  reportInScalar(
    message: string,
    path: string,
    node: Node,
    offsets: { readonly start: number; readonly end: number; readonly check?: string },
  ): void {
    const places = isScalar(node) ? this.#placesOf(node) : []
    const first = places[Math.min(offsets.start, places.length - 1)]
    const last = places[Math.min(Math.max(offsets.start, offsets.end - 1), places.length - 1)]
    if (first === undefined || last === undefined)
      this.report(message, '', path, node, offsets.check)
    else this.reportRange(message, '', path, first, last + 1, offsets.check)
  }

  /**
   * Where each character of a scalar's value stands. Quotes, escapes, indentation and folding only add characters
   * to the source, so each character of the value is the next equal one of the source.
   */
  #placesOf(node: { readonly value: unknown; readonly type?: string; range?: unknown }): number[] {
    const range: unknown = node.range
    const start: unknown = Array.isArray(range) ? range[0] : undefined
    if (typeof node.value !== 'string' || typeof start !== 'number') return []
    let at = start
    if (node.type?.startsWith('BLOCK')) at = this.#text.indexOf('\n', at) + 1
    else if (node.type?.startsWith('QUOTE')) at++
    const places: number[] = []
    for (const char of node.value.split('')) {
      if (/\s/u.test(char)) {
        places.push(at)
        if (/\s/u.test(this.#text.charAt(at))) at++
        continue
      }
      const found = this.#text.indexOf(char, at)
      if (found !== -1) at = found
      places.push(at)
      if (found !== -1) at++
    }
    return places
  }
}
