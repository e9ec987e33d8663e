import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Secret } from '@sallyport/core'
import { isScalar } from 'yaml'
import { FieldReader } from '../../policies/field-reader.ts'

const secretCharactersMax = 4096

/** A secret is a reference, `{from: env:NAME}` or `{from: file:path}`; a value in the file would end up in its history. */
export function readSecret(read: FieldReader, name: string): Secret<string> | undefined {
  if (!read.has(name)) return undefined
  if (isScalar(read.get(name))) {
    read.report(
      name,
      'a secret must be a reference, not a value',
      'use {from: env:NAME} or {from: file:path}',
    )
    return undefined
  }
  const path = read.at(name)
  const reference = new FieldReader(read.source, read.get(name), path, ['from'])
  reference.require('from')
  const from = reference.text('from')
  if (from === undefined) return undefined
  const [scheme, ...rest] = from.split(':')
  const place = rest.join(':')
  const value =
    scheme === 'env' ? process.env[place] : scheme === 'file' ? fileText(read, place) : undefined
  if (scheme !== 'env' && scheme !== 'file') reference.report('from', 'env: and file: are possible')
  else if (value === undefined || value.trim() === '')
    reference.report('from', `${from} has no value`)
  else return new Secret(value.trim())
  return undefined
}

/** Relative paths begin at the folder of the file that names them. */
function fileText(read: FieldReader, path: string): string | undefined {
  try {
    return readFileSync(resolve(dirname(read.source.file), path), 'utf8').slice(
      0,
      secretCharactersMax,
    )
  } catch {
    return undefined
  }
}
