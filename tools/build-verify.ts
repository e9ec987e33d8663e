import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join, relative } from 'node:path'

/** The one file that checks an export without anything else being installed. */
export const verifyFile = 'packages/gateway/assets/verify.mjs'

const main = 'packages/gateway/src/control-plane/recordings/export/verify-main.ts'
const core = 'packages/core/src/index.ts'
const head = `#!/usr/bin/env node
// Made by \`npm run build:verify\` from the sources of Sallyport (Apache-2.0). Checks the export that it lies in: node verify.mjs
`

interface Module {
  readonly name: string
  readonly code: string
  readonly exports: readonly string[]
}

/** Puts the verifier and all it imports into one file that needs only Node 22.15 or newer. */
export function bundleVerify(): string {
  const modules = new Map<string, Module>()
  const builtins = new Map<string, Set<string>>()
  add(main, modules, builtins)
  const imports = [...builtins]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([from, names]) => `import { ${[...names].toSorted().join(', ')} } from '${from}'\n`)
  const parts = [...modules].map(([path, { name, code, exports }]) =>
    path === main
      ? code
      : `// ${path}\nconst ${name} = (() => {\n${code}\nreturn { ${exports.join(', ')} }\n})()\n`,
  )
  return `${head}${imports.join('')}\n${parts.join('\n')}`
}

/** Adds a module behind those that it imports. */
function add(path: string, modules: Map<string, Module>, builtins: Map<string, Set<string>>): void {
  if (modules.has(path)) return
  let code = stripTypeScriptTypes(readFileSync(path, 'utf8'))
  code = code.replaceAll(
    /^import\s*\{([^}]*)\}\s*from '([^']+)'$/gmu,
    (_, list: string, from: string) => {
      const names = list.split(',').flatMap((name) => (name.trim() === '' ? [] : [name.trim()]))
      if (from.startsWith('node:')) {
        const known = builtins.get(from) ?? new Set()
        for (const name of names) known.add(name)
        builtins.set(from, known)
        return ''
      }
      return names
        .map((name) => {
          const file = definer(path, from, name)
          add(file, modules, builtins)
          return `const { ${name} } = ${nameOf(file)}`
        })
        .join('\n')
    },
  )
  if (/^import /mu.test(code)) throw new Error(`${path} has an import that can't be bundled`)
  const exports: string[] = []
  code = code.replaceAll(
    /^export (?=(?:async )?(?:function\*?|class|const) (\w+))/gmu,
    (_, name: string) => {
      exports.push(name)
      return ''
    },
  )
  modules.set(path, { name: nameOf(path), code, exports })
}

/** The file that defines what a module imports by this name. */
function definer(importer: string, from: string, name: string): string {
  if (from.startsWith('.')) return join(dirname(importer), from)
  if (from !== '@sallyport/core') throw new Error(`${importer} imports ${from}`)
  const index = readFileSync(core, 'utf8')
  for (const [, list = '', file = ''] of index.matchAll(
    /export\s*\{([^}]*)\}\s*from '([^']+)'/gu,
  )) {
    if (list.split(',').some((each) => each.trim() === name)) return join(dirname(core), file)
  }
  throw new Error(`${from} does not export ${name}`)
}

function nameOf(path: string): string {
  return relative('packages', path).replaceAll(/[^a-z]+/gu, '_')
}

if (import.meta.main) {
  writeFileSync(verifyFile, bundleVerify(), { mode: 0o755 })
  execFileSync('oxfmt', [verifyFile])
}
