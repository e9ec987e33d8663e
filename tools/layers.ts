import { posix } from 'node:path'

/** What one part of the source may import. */
interface Layer {
  /** Other parts, by their names in this table. A part may always import itself. */
  readonly parts: readonly string[]
  /** Libraries and built-in modules; one that ends in `:` allows all that begin with it. */
  readonly libraries: readonly string[]
}

/** Which part may import what. A part is a package, or a folder inside `gateway`. */
export const LAYERS: Readonly<Record<string, Layer>> = {
  wire: { parts: [], libraries: [] },
  core: { parts: [], libraries: ['node:crypto', 'node:util', 'node:zlib', 'node:buffer'] },
  sdk: { parts: [], libraries: [] },
  connector: { parts: ['core', 'wire'], libraries: ['node:'] },
  testkit: { parts: ['core', 'wire'], libraries: ['node:'] },
  cli: { parts: ['core', 'gateway'], libraries: ['node:', 'commander', 'koffi', 'yaml'] },
  // The public face and the place that puts the planes together.
  gateway: {
    parts: [
      'core',
      'gateway/boundary',
      'gateway/control-plane',
      'gateway/data-plane',
      'gateway/demo',
      'gateway/workbench',
    ],
    libraries: ['node:'],
  },
  'gateway/boundary': { parts: ['core'], libraries: [] },
  // How a target is reached and asked to stop: both planes may have to.
  'gateway/target': {
    parts: ['core', 'wire', 'gateway/boundary'],
    libraries: ['node:events', 'node:net', 'node:tls'],
  },
  'gateway/conditions': {
    parts: ['core'],
    libraries: ['node:buffer', 'node:net', '@marcbachmann/cel-js', 're2js'],
  },
  // Lives on snapshots and its journal: no database, no web framework, and nothing of the other plane.
  'gateway/data-plane': {
    parts: ['core', 'wire', 'gateway/boundary', 'gateway/conditions', 'gateway/target'],
    libraries: ['node:', '@marcbachmann/cel-js', 're2js', 'libpg-query', 'pino'],
  },
  'gateway/control-plane': {
    parts: [
      'core',
      'wire',
      'gateway/boundary',
      'gateway/conditions',
      'gateway/demo',
      'gateway/pglite',
      'gateway/target',
    ],
    libraries: [
      'node:',
      '@aws-sdk/client-s3',
      '@electric-sql/pglite',
      '@hono/node-server',
      '@node-saml/node-saml',
      'hono',
      'jose',
      'kysely',
      'nodemailer',
      'openid-client',
      'pg',
      'pino',
      'yaml',
      'zod',
    ],
  },
  // Tools that try policies without a gateway: the files are the control plane's to read, the commands the data plane's to classify.
  'gateway/workbench': {
    parts: ['core', 'gateway/conditions', 'gateway/control-plane', 'gateway/data-plane'],
    libraries: ['node:', 'yaml'],
  },
  // The embedded store and the demo are databases of the same make.
  'gateway/pglite': { parts: [], libraries: ['node:', '@electric-sql/pglite'] },
  'gateway/demo': {
    parts: ['core', 'wire', 'gateway/pglite'],
    libraries: ['node:', '@electric-sql/pglite', 'pg'],
  },
}

/** Says what is wrong with an import of `file` (a path from the repository's root), or nothing. */
export function breach(file: string, target: string): string | undefined {
  const from = partOf(file)
  const layer = LAYERS[from]
  if (layer === undefined) return `${file} is in no layer of the table`
  const to = importedPart(file, target)
  if (to === undefined) {
    return layer.libraries.some((library) => matches(library, target))
      ? undefined
      : `${file} (${from}) may not import the library ${target}`
  }
  if (to === from || layer.parts.includes(to)) return undefined
  return `${file} (${from}) may not import ${to}: ${target}`
}

function partOf(file: string): string {
  const [, owner = '', , folder = ''] = file.split('/')
  if (owner !== 'gateway' || folder.endsWith('.ts')) return owner
  return `gateway/${folder}`
}

function importedPart(file: string, target: string): string | undefined {
  if (target.startsWith('.')) return partOf(posix.join(posix.dirname(file), target))
  const workspace = /^@sallyport\/([a-z]+)/.exec(target)
  return workspace?.[1]
}

function matches(library: string, target: string): boolean {
  if (library.endsWith(':')) return target.startsWith(library)
  return target === library || target.startsWith(`${library}/`)
}
