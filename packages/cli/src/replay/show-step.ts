import { visibleText } from '@sallyport/core'
import type { Step } from '@sallyport/gateway'

const reset = '\u001B[0m'
const colours = {
  blocked: '\u001B[31m',
  refused: '\u001B[31m',
  held: '\u001B[33m',
  masked: '\u001B[35m',
  command: '\u001B[1m',
  problem: '\u001B[41;97m',
} as const

/** The lines of a step for a terminal. The colours are ours alone: nothing that was recorded, or that a gateway sends, steers it. */
export function stepLines({ kind, decision, text }: Step, isColoured: boolean): string {
  const lines = text.replace(/\n$/u, '').split('\n').map(visibleText)
  const name = decision ?? kind
  const colour = isColoured && isNamed(name) ? colours[name] : undefined
  if (colour !== undefined) lines[0] = `${colour}${lines[0] ?? ''}${reset}`
  return `${lines.join('\n')}\n`
}

function isNamed(name: string): name is keyof typeof colours {
  return Object.hasOwn(colours, name)
}

/** `NO_COLOR` (no-color.org) and terminals that say that they have none are obeyed. */
export function wantsColours(isTerminal: boolean): boolean {
  const { NO_COLOR: none = '', TERM: terminal } = process.env
  return isTerminal && none === '' && terminal !== 'dumb'
}
