/** Keeps values by text in two generations: what is used moves to the young one, and the old one is dropped whole when the young one is full. */
export class TextCache<Value> {
  readonly #textsMax: number
  readonly #charactersMax: number
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()
  #youngCharacters = 0

  constructor(textsMax: number, charactersMax: number) {
    this.#textsMax = textsMax
    this.#charactersMax = charactersMax
  }

  get(text: string): Value | undefined {
    const young = this.#young.get(text)
    if (young !== undefined) return young
    const old = this.#old.get(text)
    if (old !== undefined) this.add(text, old)
    return old
  }

  add(text: string, value: Value): void {
    const isFull =
      this.#young.size >= this.#textsMax / 2 ||
      this.#youngCharacters + text.length > this.#charactersMax / 2
    if (isFull) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngCharacters = 0
    }
    this.#young.set(text, value)
    this.#youngCharacters += text.length
  }
}
