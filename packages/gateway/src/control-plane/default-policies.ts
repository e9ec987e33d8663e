import { access, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What a new data folder starts with. It is the operator's file from then on, and never written again. */
export const defaultPolicies = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: starter}
spec:
  owner: group:owners
  defaults: {unmatched: allow, unknown: block}
  rules:
    # Personal data comes back masked, for people as well. Narrow "when" to let some of them read it.
    - name: mask-pii
      on: sql
      when: "true"
      effect: mask
      mask:
        - {columns: ["*.email"], with: partial}
        - {columns: ["*.ssn", "*.card"], with: last4}
        - {detect: [credit_card], with: last4}

    # Nobody drops a database or a schema.
    - name: no-drop-database
      on: sql
      when: sql.actions.exists(action, action in ["drop database", "drop schema"])
      effect: block
      message: "Databases and schemas are never dropped through Sallyport."

    # A write without WHERE hits every row.
    - name: no-unbounded-writes
      on: sql
      when: op.unbounded && op.class != "read"
      effect: block
      message: "This statement would change every row of a table. Add a WHERE clause."
`

/** What a new data folder with a demo database has beside them. */
const demoPolicy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: demo}
spec:
  owner: group:owners
  applies: {connections: [shop-db]}
  rules:
    # Waits for "sallyport approve". You may approve what you asked for yourself: for a demo that is enough.
    - name: ask-before-delete
      on: sql
      when: '"delete" in op.classes'
      effect: approve
      approve: {from: [owner], within: 5m, selfRoot: allow}
      message: "Somebody looks at deletes first."
`

/** Makes the policies folder with what there is to start with, where there is none. Gives its path. */
export async function seedPolicies(dataDir: string, hasDemo: boolean): Promise<string> {
  const dir = join(dataDir, 'policies')
  const exists = await access(dir).then(
    () => true,
    () => false,
  )
  if (exists) return dir
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await writeFile(join(dir, 'starter.yaml'), defaultPolicies, { mode: 0o600 })
  if (hasDemo) await writeFile(join(dir, 'demo.yaml'), demoPolicy, { mode: 0o600 })
  return dir
}
