import type { FactSchema } from '@sallyport/core'
import type { FieldReader } from '../control-plane/policies/field-reader.ts'

type FactType = FactSchema['facts'][string]

/** Reads a fact as its type says; undefined where it is of another one, which is then reported. */
export function readFactValue(fields: FieldReader, name: string, type: FactType): unknown {
  switch (type.type) {
    case 'bool':
      return fields.flag(name)
    case 'int': {
      const value = fields.int(name, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
      return value === undefined ? undefined : BigInt(value)
    }
    case 'list<string>':
      return type.values === undefined ? fields.texts(name) : fields.listOf(name, type.values)
    case 'google.protobuf.Timestamp': {
      const at = new Date(fields.text(name) ?? '')
      if (!Number.isNaN(at.getTime())) return at
      fields.report(name, `${name} must be a time`, 'for example "2026-11-20T09:30:00Z"')
      return undefined
    }
    case 'map<string, string>': {
      const node = fields.get(name)
      const entries = fields.inner(name, [])
      if (node === undefined) return undefined
      return Object.fromEntries(entries.names().map((key) => [key, entries.text(key) ?? '']))
    }
    default:
      return type.values === undefined ? fields.text(name) : fields.oneOf(name, type.values)
  }
}
