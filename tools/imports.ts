import { parseSync } from 'oxc-parser'

/** Every module a source file names: imports, type-only ones included, re-exports, and `import('…')`. */
export function importsOf(file: string, text: string): string[] {
  const { module, errors } = parseSync(file, text)
  if (errors.length > 0) throw new Error(`${file} cannot be parsed: ${errors[0]?.message}`)
  const imported = module.staticImports.map(({ moduleRequest }) => moduleRequest.value)
  const exported = module.staticExports.flatMap(({ entries }) =>
    entries.map(({ moduleRequest }) => moduleRequest?.value),
  )
  // The parser lists `import()` expressions only; a type such as import('x').T is found by its text.
  const dynamic = [...text.matchAll(/\bimport\(\s*(['"`])([^'"`]+)\1/g)].map((match) => match[2])
  return [...imported, ...exported, ...dynamic].filter((name) => name !== undefined)
}
