import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isNode, type Document } from 'yaml'
import type { ConfigProblem } from './config-problem.ts'
import { FieldReader } from './field-reader.ts'
import { namePattern } from './read-rule.ts'
import { YamlSource } from './yaml-source.ts'

/** Objects by their names, or what is wrong with the files. */
export type LoadedObjects<T> =
  | { readonly kind: 'ok'; readonly config: ReadonlyMap<string, T> }
  | { readonly kind: 'refused'; readonly problems: readonly ConfigProblem[] }

/** The text of a file. */
export interface ObjectFile {
  readonly file: string
  readonly text: string
}

/** How objects of one kind are read. */
export interface ObjectKind<T> {
  /** As it stands in the field `kind`. */
  readonly kind: string
  /** Its name in sentences. */
  readonly noun: string
  readonly max: number
  /** Gives nothing where something is missing or wrong; that has been reported then. */
  readonly read: (name: string, top: FieldReader, others: ReadonlyMap<string, T>) => T | undefined
}

/** Larger files are mistakes. */
const fileCharactersMax = 262_144
const topFields = ['apiVersion', 'kind', 'metadata', 'spec']

/** The YAML files of a folder, in the order of their names. */
export async function readFolder(dir: string): Promise<ObjectFile[]> {
  const names = (await readdir(dir)).filter((name) => /\.ya?ml$/u.test(name)).sort()
  return await Promise.all(
    names.map(async (name) => ({
      file: join(dir, name),
      text: await readFile(join(dir, name), 'utf8'),
    })),
  )
}

/** Reads the text of files. One problem in one file refuses all; only secrets that they name are read from the disk. */
export function readObjects<T>(
  files: readonly ObjectFile[],
  kind: ObjectKind<T>,
): LoadedObjects<T> {
  const config = new Map<string, T>()
  const sources = files.map(({ file, text }) => {
    const isTooLarge = text.length > fileCharactersMax
    const source = new YamlSource(file, isTooLarge ? '' : text)
    if (isTooLarge) source.report('this file is too large', '', '', undefined)
    for (const document of source.documents) readDocument(source, document, config, kind)
    if (config.size > kind.max)
      source.report(`at most ${kind.max} ${kind.noun}s are taken`, '', '', undefined)
    return source
  })
  const problems = sources.flatMap((source) => source.problems)
  return problems.length > 0 ? { kind: 'refused', problems } : { kind: 'ok', config }
}

function readDocument<T>(
  source: YamlSource,
  document: Document,
  config: Map<string, T>,
  { kind, noun, read }: ObjectKind<T>,
): void {
  if (document.errors.length > 0 || !isNode(document.contents)) return
  const top = new FieldReader(source, document.contents, '', topFields)
  for (const name of topFields) top.require(name)
  top.oneOf('apiVersion', ['sallyport.dev/v1'])
  top.oneOf('kind', [kind])
  if (!top.has('metadata') || !top.has('spec')) return
  const metadata = new FieldReader(source, top.get('metadata'), 'metadata', ['name'])
  metadata.require('name')
  const name = metadata.text('name') ?? ''
  if (metadata.has('name') && !namePattern.test(name))
    metadata.report('name', `"${name}" is not a name`, 'use a-z, 0-9 and -, at most 63 characters')
  if (config.has(name)) metadata.report('name', `there is another ${noun} "${name}"`)
  const object = read(name, top, config)
  if (object !== undefined) config.set(name, object)
}
