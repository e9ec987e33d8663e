import { isAlias, isMap, isScalar, isSeq, type Node, type Pair } from 'yaml'
import { didYouMean } from '../../conditions/did-you-mean.ts'
import type { YamlSource } from './yaml-source.ts'

/** Reads one YAML map field by field. Every problem is collected; a field with a problem reads as absent. */
export class FieldReader {
  readonly source: YamlSource
  readonly path: string
  readonly node: Node | null | undefined
  readonly #fields = new Map<string, Node | null>()

  constructor(source: YamlSource, node: unknown, path: string, known: readonly string[]) {
    this.source = source
    this.path = path
    this.node = asNode(node)
    if (!isMap(node)) {
      source.report(`${path === '' ? 'a document' : path} must be a map`, '', path, this.node)
      return
    }
    for (const pair of node.items) this.#add(pair, known)
  }

  #add(pair: Pair, known: readonly string[]): void {
    const key = asNode(pair.key)
    const name = isScalar(pair.key) ? String(pair.key.value) : ''
    if (known.length > 0 && !known.includes(name)) {
      const near = didYouMean(name, known)
      const hint =
        near === undefined ? `known fields: ${known.join(', ')}` : `did you mean "${near}"?`
      this.source.report(`unknown field "${name}"`, hint, this.at(name), key, 'unknown-field')
    } else this.#fields.set(name, asNode(pair.value) ?? null)
  }

  at(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`
  }

  has(name: string): boolean {
    return this.#fields.has(name)
  }

  names(): string[] {
    return [...this.#fields.keys()]
  }

  get(name: string): Node | null | undefined {
    return this.#fields.get(name)
  }

  /** The map that a field holds. */
  inner(name: string, known: readonly string[]): FieldReader {
    return new FieldReader(this.source, this.get(name), this.at(name), known)
  }

  report(name: string, message: string, hint = '', check?: string): void {
    this.source.report(message, hint, this.at(name), this.get(name) ?? this.node, check)
  }

  require(name: string): boolean {
    if (this.has(name)) return true
    if (isMap(this.node)) this.report(name, `missing field "${name}"`, `add ${name}:`, `no-${name}`)
    return false
  }

  text(name: string): string | undefined {
    const value = this.#scalar(name)
    if (value === undefined || typeof value === 'string') return value
    this.report(name, `${this.at(name)} must be text`, `write "${JSON.stringify(value)}" in quotes`)
    return undefined
  }

  flag(name: string): boolean | undefined {
    const value = this.#scalar(name)
    if (value === undefined || typeof value === 'boolean') return value
    this.report(name, `${this.at(name)} must be true or false`)
    return undefined
  }

  int(name: string, min: number, max: number): number | undefined {
    const value = this.#scalar(name)
    if (value === undefined) return undefined
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) {
      return value
    }
    this.report(name, `${this.at(name)} must be a whole number from ${min} to ${max}`)
    return undefined
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T | undefined {
    const text = this.text(name)
    return text === undefined ? undefined : this.#among(text, values, this.get(name), name)
  }

  /** A list of texts; one text alone stands for a list of it where `orOne` is set. */
  texts(name: string, orOne = false): string[] {
    return this.#textNodes(name, orOne).map((each) => each.text)
  }

  listOf<T extends string>(name: string, values: readonly T[], orOne = false): T[] {
    return this.#textNodes(name, orOne)
      .map(({ text, node, at }) => this.#among(text, values, node, at))
      .filter((value) => value !== undefined)
  }

  /** The items of a list of maps, each with its path. */
  items(name: string): { readonly node: unknown; readonly path: string }[] {
    const node = this.get(name)
    if (node === undefined) return []
    if (isSeq(node)) {
      return node.items.map((item, index) => ({ node: item, path: `${this.at(name)}.${index}` }))
    }
    this.report(name, `${this.at(name)} must be a list`)
    return []
  }

  #scalar(name: string): unknown {
    const node = this.get(name)
    if (node === undefined) return undefined
    if (isScalar(node) && node.value !== null) return node.value
    const message = isAlias(node)
      ? 'aliases are not available here'
      : `${this.at(name)} has no value`
    this.report(name, message)
    return undefined
  }

  #textNodes(name: string, orOne: boolean): { text: string; node: Node; at: string }[] {
    const node = this.get(name)
    if (node === undefined) return []
    if (orOne && isScalar(node)) {
      const text = this.text(name)
      return text === undefined ? [] : [{ text, node, at: name }]
    }
    return this.items(name).flatMap(({ node: item }, index) => {
      const at = `${name}.${index}`
      if (isScalar(item) && typeof item.value === 'string') {
        return [{ text: item.value, node: item, at }]
      }
      this.source.report(`${this.at(at)} must be text`, '', this.at(at), asNode(item) ?? node)
      return []
    })
  }

  #among<T extends string>(
    text: string,
    values: readonly T[],
    node: Node | null | undefined,
    at: string,
  ): T | undefined {
    const found = values.find((value) => value === text)
    if (found !== undefined) return found
    const near = didYouMean(text, values)
    const hint = near === undefined ? '' : `did you mean "${near}"?`
    this.source.report(`"${text}" is not one of ${values.join(', ')}`, hint, this.at(at), node)
    return undefined
  }
}

function asNode(value: unknown): Node | undefined {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value) ? value : undefined
}
