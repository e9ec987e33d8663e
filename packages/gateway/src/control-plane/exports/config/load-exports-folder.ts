import { readdir, readFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { parseBytes } from '@sallyport/core'
import { isNode, type Document } from 'yaml'
import { readSecret } from '../../births/config/read-secret.ts'
import { readUrl } from '../../births/config/read-values.ts'
import type { ConfigProblem } from '../../policies/config-problem.ts'
import { FieldReader } from '../../policies/field-reader.ts'
import { namePattern } from '../../policies/read-rule.ts'
import { YamlSource } from '../../policies/yaml-source.ts'
import type { ExportConfig, ExportsConfig } from './export-config.ts'

export type LoadedExports =
  | { readonly kind: 'ok'; readonly config: ExportsConfig }
  | { readonly kind: 'refused'; readonly problems: readonly ConfigProblem[] }

/** Each has its own reader of the outbox, and its own series among the metrics. */
const exportsMax = 16
/** Larger files are mistakes. */
const fileCharactersMax = 262_144
const topFields = ['apiVersion', 'kind', 'metadata', 'spec']
const types = ['webhook', 'file', 'stdout', 'otlp'] as const
/** 128 bits in hexadecimal digits: whoever guesses one can tell the receiver anything. */
const secretCharactersMin = 32
const rotateBytesDefault = 100 * 1024 * 1024
const rotateBytesMin = 64 * 1024

/** Reads all files of a folder. One problem in one file refuses all. */
export async function loadExportsFolder(dir: string): Promise<LoadedExports> {
  const names = (await readdir(dir)).filter((name) => /\.ya?ml$/u.test(name)).sort()
  const files = await Promise.all(
    names.map(async (name) => ({
      file: join(dir, name),
      text: await readFile(join(dir, name), 'utf8'),
    })),
  )
  return readExportFiles(files)
}

/** Reads the text of files; only secrets that they name are read from the disk. */
export function readExportFiles(
  files: readonly { readonly file: string; readonly text: string }[],
): LoadedExports {
  const config = new Map<string, ExportConfig>()
  const sources = files.map(({ file, text }) => {
    const isTooLarge = text.length > fileCharactersMax
    const source = new YamlSource(file, isTooLarge ? '' : text)
    if (isTooLarge) source.report('this file is too large', '', '', undefined)
    for (const document of source.documents) readDocument(source, document, config)
    if (config.size > exportsMax)
      source.report(`at most ${exportsMax} exports are taken`, '', '', undefined)
    return source
  })
  const problems = sources.flatMap((source) => source.problems)
  return problems.length > 0 ? { kind: 'refused', problems } : { kind: 'ok', config }
}

function readDocument(
  source: YamlSource,
  document: Document,
  config: Map<string, ExportConfig>,
): void {
  if (document.errors.length > 0 || !isNode(document.contents)) return
  const top = new FieldReader(source, document.contents, '', topFields)
  for (const name of topFields) top.require(name)
  top.oneOf('apiVersion', ['sallyport.dev/v1'])
  top.oneOf('kind', ['Export'])
  if (!top.has('metadata') || !top.has('spec')) return
  const metadata = new FieldReader(source, top.get('metadata'), 'metadata', ['name'])
  metadata.require('name')
  const name = metadata.text('name') ?? ''
  if (metadata.has('name') && !namePattern.test(name))
    metadata.report('name', `"${name}" is not a name`, 'use a-z, 0-9 and -, at most 63 characters')
  if (config.has(name)) metadata.report('name', `there is another export "${name}"`)
  const read = readSpec(name, top)
  if (read?.type === 'stdout' && [...config.values()].some(({ type }) => type === 'stdout'))
    top.report('spec', 'another export writes to standard output')
  if (read !== undefined) config.set(name, read)
}

/** Gives nothing where something is missing or wrong; that has been reported then. */
function readSpec(name: string, top: FieldReader): ExportConfig | undefined {
  // What else there may be depends on the type.
  const type = new FieldReader(top.source, top.get('spec'), 'spec', [])
  type.require('type')
  switch (type.oneOf('type', types)) {
    case 'webhook':
      return readWebhook(name, fieldsOf(top, ['url', 'secret', 'authorization', 'include']))
    case 'file':
      return readFileExport(name, fieldsOf(top, ['path', 'rotate', 'include']))
    case 'stdout':
      return readStdout(name, fieldsOf(top, ['include']))
    case 'otlp':
      return readTraces(name, fieldsOf(top, ['url', 'authorization', 'include']))
    case undefined:
      return undefined
  }
}

function fieldsOf(top: FieldReader, known: readonly string[]): FieldReader {
  return new FieldReader(top.source, top.get('spec'), 'spec', ['type', ...known])
}

function readWebhook(name: string, spec: FieldReader): ExportConfig | undefined {
  for (const field of ['url', 'secret']) spec.require(field)
  const url = readUrl(spec, 'url')
  const secret = readSecret(spec, 'secret')
  if (secret !== undefined && secret.expose().length < secretCharactersMin)
    spec.report('secret', `a secret has at least ${secretCharactersMin} characters`)
  const authorization = readSecret(spec, 'authorization')
  const withText = readInclude(spec)
  if (url === undefined || secret === undefined) return undefined
  const header = authorization === undefined ? {} : { authorization }
  return { name, type: 'webhook', url, secret, ...header, withText }
}

function readTraces(name: string, spec: FieldReader): ExportConfig | undefined {
  spec.require('url')
  const url = readUrl(spec, 'url')
  const authorization = readSecret(spec, 'authorization')
  const withText = readInclude(spec)
  const header = authorization === undefined ? {} : { authorization }
  return url === undefined ? undefined : { name, type: 'otlp', url, ...header, withText }
}

function readFileExport(name: string, spec: FieldReader): ExportConfig | undefined {
  spec.require('path')
  const path = spec.text('path')
  if (path !== undefined && !isAbsolute(path)) spec.report('path', 'path must begin with /')
  const rotateBytes = readRotate(spec)
  const withText = readInclude(spec)
  return path === undefined ? undefined : { name, type: 'file', path, rotateBytes, withText }
}

function readStdout(name: string, spec: FieldReader): ExportConfig {
  return { name, type: 'stdout', withText: readInclude(spec) }
}

function readRotate(spec: FieldReader): number {
  const text = spec.text('rotate')
  if (text === undefined) return rotateBytesDefault
  const bytes = parseBytes(text)
  if (typeof bytes === 'string') spec.report('rotate', `"${text}" ${bytes}`)
  else if (bytes < rotateBytesMin) spec.report('rotate', `at least ${rotateBytesMin} bytes`)
  else return bytes
  return rotateBytesDefault
}

function readInclude(spec: FieldReader): boolean {
  return spec.listOf('include', ['text']).length > 0
}
