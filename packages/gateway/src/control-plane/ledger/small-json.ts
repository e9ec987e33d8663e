import type { FactDetail } from './facts.ts'

const textCharactersMax = 500
const listMax = 20
const bytesMax = 4096
const cutMark = '…'

/** Handles, credentials and tickets of the gateway, and tokens of others (RFC 7519): no caller may bring one in. */
const secrets = /\bsp[act]_[0-9a-z_]+|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?/giu

/** The detail of a fact as JSON text: short, whatever was given. */
export function smallJson(detail: FactDetail): string {
  const small = Object.entries(detail)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, typeof value === 'string' ? smallText(value) : smallList(value)])
  const json = JSON.stringify(Object.fromEntries(small))
  return Buffer.byteLength(json) <= bytesMax ? json : JSON.stringify({ tooLarge: json.length })
}

/** A text that others may have chosen: cut, and without what looks like a secret. */
export function smallText(text: string): string {
  // Cut first: a match must not be looked for in megabytes.
  const beginning = text.slice(0, 2 * textCharactersMax).replaceAll(secrets, '[secret]')
  if (beginning.length <= textCharactersMax && text.length <= 2 * textCharactersMax)
    return beginning
  return `${beginning.slice(0, textCharactersMax)}${cutMark}`
}

function smallList(value: FactDetail[string]): unknown {
  if (typeof value !== 'object' || value === null) return value
  const some = value.slice(0, listMax).map(smallText)
  return value.length > listMax ? [...some, `${cutMark} and ${value.length - listMax} more`] : some
}
