import type { Permission } from '../chain.ts'
import { CLASS_SHORTHANDS } from './parse-allow.ts'
import { canonicalPermission } from './permission.ts'

/** Prints a permit in its canonical, shortest form: the inverse of `parseAllow` for every permit that it can make. */
export function printAllow(permission: Permission): string {
  const { connections, classes, dimensions, rowsMax } = canonicalPermission(permission)
  const limits = Object.entries(dimensions).map(
    ([name, globs]) => ` ${name}=${globs.map(printGlob).join(',')}`,
  )
  const rows = rowsMax === undefined ? '' : ` rows<=${rowsMax}`
  return `${connections.join(',')}:${printClasses(classes).join(',')}${limits.join('')}${rows}`
}

function printClasses(classes: readonly string[]): readonly string[] {
  for (const [word, members] of Object.entries(CLASS_SHORTHANDS)) {
    if (!members.every((member) => classes.includes(member))) continue
    return [word, ...classes.filter((name) => !(members as readonly string[]).includes(name))]
  }
  return classes
}

/** Quotes a name wherever its plain text would be read as something else. */
function printGlob(glob: string): string {
  return /[\s,"]/u.test(glob) ? `"${glob.replaceAll('"', '""')}"` : glob
}
