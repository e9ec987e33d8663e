import type { ReadStream } from 'node:tty'

/** What a person at a terminal pressed: a character, or `left`, `right`, `enter`, `backspace`, `escape`, `interrupt`. */
export type Key = string

const escape = '\u001B'
/** What follows the escape of the keys that mean something here (ECMA-48, and what xterm sends in application mode). */
const sequences: Readonly<Record<string, Key>> = {
  '[C': 'right',
  OC: 'right',
  '[D': 'left',
  OD: 'left',
}
const controls: Readonly<Record<string, Key>> = {
  '\u0003': 'interrupt',
  '\u0004': 'interrupt',
  '\r': 'enter',
  '\n': 'enter',
  '\u007F': 'backspace',
  '\b': 'backspace',
}

/** Reads the keys in what a terminal sent; unknown sequences are no keys. */
export function keysIn(text: string): Key[] {
  const [plain = '', ...behind] = text.split(escape)
  const keys = plainKeys(plain)
  for (const part of behind) {
    const [sequence] = /^(?:\[[\d;]*[A-Za-z~]|O[A-Z])/u.exec(part) ?? []
    const key = sequence === undefined ? 'escape' : sequences[sequence]
    if (key !== undefined) keys.push(key)
    keys.push(...plainKeys(part.slice(sequence?.length ?? 0)))
  }
  return keys
}

function plainKeys(text: string): Key[] {
  return Array.from(text, (character) => controls[character] ?? character)
}

/** Gives keys as they are pressed, until it is disposed of; the terminal is then as before. */
export function listenForKeys(stdin: ReadStream, onKey: (key: Key) => void): Disposable {
  const onData = (data: Buffer): void => {
    for (const key of keysIn(data.toString('utf8'))) onKey(key)
  }
  stdin.setRawMode(true)
  stdin.on('data', onData)
  stdin.resume()
  return {
    [Symbol.dispose]: () => {
      stdin.off('data', onData)
      stdin.setRawMode(false)
      stdin.pause()
    },
  }
}
