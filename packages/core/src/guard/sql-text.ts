/** An identifier as SQL writes it, quoted in any case: a name that is a keyword needs it. */
export function ident(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A qualified name. */
export function qualified(schema: string, name: string): string {
  return `${ident(schema)}.${ident(name)}`
}

/** A text constant. Backslashes mean themselves, also where `standard_conforming_strings` is off. */
export function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`
  return text.includes('\\') ? ` E${quoted}` : quoted
}

/** Names, quoted and in a row. */
export function idents(names: readonly string[]): string {
  return names.map(ident).join(', ')
}
