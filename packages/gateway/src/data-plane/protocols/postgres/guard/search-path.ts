import { ident } from '@sallyport/core'

/** The search path of a session with the masked schema before each that has one. */
export function guardedPath(
  schemas: Readonly<Record<string, string>>,
  path: readonly string[],
): string {
  return path
    .flatMap((schema) => {
      const masked = Object.hasOwn(schemas, schema) ? schemas[schema] : undefined
      return masked === undefined ? [schema] : [masked, schema]
    })
    .map(ident)
    .join(', ')
}

/** Reads the value of `search_path`: names with commas between them, in quotes or folded to lower case. */
export function readPath(value: string, loginUser: string): string[] {
  const names = value.match(/"(?:[^"]|"")*"|[^\s,"]+/gu) ?? []
  return names.map((name) => {
    const plain = name.startsWith('"')
      ? name.slice(1, -1).replaceAll('""', '"')
      : name.toLowerCase()
    // The guarded role has another name than the login whose schema is meant.
    return plain === '$user' ? loginUser : plain
  })
}
