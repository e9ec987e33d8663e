/** What is wrong in a document, and where: `permits[0].maxRows`. */
export interface DocumentProblem {
  readonly path: string
  readonly message: string
}

/** Longer lists are not written by hand; a bound for stored grants. */
const listLengthMax = 256

/** Reads the fields of one JSON object, collects every problem with its path, and refuses fields that nobody asked for. */
export class DocumentReader {
  readonly #fields: Readonly<Record<string, unknown>>
  readonly #path: string
  readonly #problems: DocumentProblem[]
  readonly #known = new Set<string>()

  constructor(value: unknown, path: string, problems: DocumentProblem[]) {
    this.#path = path
    this.#problems = problems
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (!isObject)
      problems.push({ path: path === '' ? '(document)' : path, message: 'must be an object' })
    this.#fields = isObject ? { ...value } : {}
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name)
  }

  problem(name: string, message: string): void {
    this.#problems.push({ path: this.#pathOf(name), message })
  }

  /** The fields of an object inside, undefined where it is absent. */
  object(name: string): DocumentReader | undefined {
    const value = this.#take(name)
    return value === undefined
      ? undefined
      : new DocumentReader(value, this.#pathOf(name), this.#problems)
  }

  objects(name: string): readonly DocumentReader[] {
    const list = this.#list(name)
    return list.map((value, index) => {
      return new DocumentReader(value, `${this.#pathOf(name)}[${index}]`, this.#problems)
    })
  }

  /** A list with at least one text; empty where it is absent or wrong. */
  strings(name: string, problemOf: (text: string) => string | undefined): readonly string[] {
    const good: string[] = []
    for (const [index, value] of this.#list(name).entries()) {
      const problem = typeof value === 'string' ? problemOf(value) : 'must be a text'
      if (problem !== undefined) this.problem(`${name}[${index}]`, problem)
      else if (typeof value === 'string') good.push(value)
    }
    return good
  }

  /** A text that `read` understands; what `read` returns as a text is a problem. */
  text<T extends number | object>(name: string, read: (text: string) => T | string): T | undefined {
    const value = this.#take(name)
    if (value === undefined) return undefined
    const found = typeof value === 'string' ? read(value) : 'must be a text'
    if (typeof found !== 'string') return found
    this.problem(name, found)
    return undefined
  }

  number(name: string, problemOf: (value: number) => string | undefined): number | undefined {
    const value = this.#take(name)
    if (value === undefined) return undefined
    const problem = typeof value === 'number' ? problemOf(value) : 'must be a number'
    if (problem === undefined && typeof value === 'number') return value
    this.problem(name, problem ?? 'must be a number')
    return undefined
  }

  boolean(name: string): boolean | undefined {
    const value = this.#take(name)
    if (value === undefined || typeof value === 'boolean') return value
    this.problem(name, 'must be true or false')
    return undefined
  }

  isText(name: string): boolean {
    return this.has(name) && typeof this.#fields[name] === 'string'
  }

  /** To be called last: every field that was not read is a problem. */
  refuseOthers(problemOf: (name: string, known: readonly string[]) => string): void {
    const known = [...this.#known]
    for (const name of Object.keys(this.#fields)) {
      if (!this.#known.has(name)) this.problem(name, problemOf(name, known))
    }
  }

  #list(name: string): readonly unknown[] {
    const value = this.#take(name)
    if (value === undefined) return []
    if (!Array.isArray(value)) this.problem(name, 'must be a list')
    else if (value.length === 0) this.problem(name, 'must not be empty')
    else if (value.length > listLengthMax)
      this.problem(name, `has more than ${listLengthMax} entries`)
    else return value
    return []
  }

  #take(name: string): unknown {
    this.#known.add(name)
    if (!this.has(name)) return undefined
    const value = this.#fields[name]
    if (value !== undefined) return value
    this.problem(name, 'has no value')
    return undefined
  }

  #pathOf(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`
  }
}
