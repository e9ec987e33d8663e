import { isAbsolute } from 'node:path'
import { parseBytes } from '@sallyport/core'
import { readSecret } from '../../births/config/read-secret.ts'
import { readUrl } from '../../births/config/read-values.ts'
import { FieldReader } from '../../policies/field-reader.ts'
import {
  readFolder,
  readObjects,
  type LoadedObjects,
  type ObjectFile,
  type ObjectKind,
} from '../../policies/read-objects.ts'
import type { ExportConfig } from './export-config.ts'

/** Each has its own reader of the outbox, and its own series among the metrics. */
const exportsMax = 16
const types = ['webhook', 'file', 'stdout', 'otlp'] as const
/** 128 bits in hexadecimal digits: whoever guesses one can tell the receiver anything. */
const secretCharactersMin = 32
const rotateBytesDefault = 100 * 1024 * 1024
const rotateBytesMin = 64 * 1024

const exportKind: ObjectKind<ExportConfig> = {
  kind: 'Export',
  noun: 'export',
  max: exportsMax,
  read(name, top, others) {
    const read = readSpec(name, top)
    if (read?.type === 'stdout' && [...others.values()].some(({ type }) => type === 'stdout'))
      top.report('spec', 'another export writes to standard output')
    return read
  },
}

/** Reads all files of a folder. */
export async function loadExportsFolder(dir: string): Promise<LoadedObjects<ExportConfig>> {
  return readExportFiles(await readFolder(dir))
}

export function readExportFiles(files: readonly ObjectFile[]): LoadedObjects<ExportConfig> {
  return readObjects(files, exportKind)
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
