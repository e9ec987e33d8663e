import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SallyportError } from '@sallyport/core'
import { printProblems, readPolicyFiles } from '@sallyport/gateway'
import { parseAllDocuments } from 'yaml'
import { refuseInside, whoAmI } from '../owner-api.ts'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printOne } from '../output.ts'

export interface TryFlags {
  readonly enforce?: boolean
  readonly off?: boolean
}

/** Puts a policy into the folder that the gateway follows, in observe mode unless it is to act. Refuses what the gateway would refuse. */
export async function tryPolicy(
  context: VerbContext,
  file: string,
  flags: TryFlags,
): Promise<number> {
  const { client, who } = await whoAmI()
  client?.close()
  // An agent must not switch off what holds it.
  refuseInside(who)
  const folder = join(context.dataDir, 'policies')
  const { name, text } = inMode(file, await readOrRefuse(file), flags)
  const path = join(folder, `${name}.yaml`)
  if (flags.off === true) await rm(path, { force: true })
  else await place(folder, `${name}.yaml`, text)
  const mode = flags.off === true ? 'off' : flags.enforce === true ? 'enforce' : 'observe'
  await printOne(context.output, { policy: name, mode, path }, `${said[mode](name)}\n`, name)
  return EXIT.done
}

const said = {
  off: (name: string) => `${name} is out of the data folder.`,
  enforce: (name: string) => `${name} is in force.`,
  observe: (name: string) =>
    `${name} observes. See what it would do: sallyport policy observed. Let it act: --enforce`,
}

async function readOrRefuse(file: string): Promise<string> {
  return await readFile(file, 'utf8').catch((error: unknown) => {
    const why = error instanceof Error ? error.message : ''
    throw new SallyportError('SP_CONFIG_INVALID', `cannot read ${file}: ${why}`)
  })
}

/** The same policy with its mode set; comments stay. */
function inMode(file: string, text: string, flags: TryFlags): { name: string; text: string } {
  const loaded = readPolicyFiles([{ file, text }])
  if (loaded.kind === 'refused')
    throw new SallyportError('SP_CONFIG_INVALID', printProblems(loaded.problems))
  const [policy] = loaded.policies
  const [document] = parseAllDocuments(text)
  if (policy === undefined || document === undefined || loaded.policies.length > 1)
    throw new SallyportError('SP_CONFIG_INVALID', `${file} does not hold one policy`)
  document.setIn(['spec', 'mode'], flags.enforce === true ? 'enforce' : 'observe')
  return { name: policy.name, text: document.toString({ lineWidth: 0 }) }
}

/** Checked together with the files that are there: one problem would leave the gateway with the policies before. */
async function place(folder: string, name: string, text: string): Promise<void> {
  const others = await readdir(folder).catch(() => {
    const hint = `there is no ${folder}: start the gateway once with "sallyport up"`
    throw new SallyportError('SP_CONFIG_INVALID', hint)
  })
  const files = await Promise.all(
    others
      .filter((other) => /\.ya?ml$/u.test(other) && other !== name)
      .map(async (other) => ({ file: other, text: await readFile(join(folder, other), 'utf8') })),
  )
  const loaded = readPolicyFiles([...files, { file: name, text }])
  if (loaded.kind === 'refused')
    throw new SallyportError('SP_CONFIG_INVALID', printProblems(loaded.problems))
  // The gateway must not read half a file.
  const partial = join(folder, `.${name}.partial`)
  await writeFile(partial, text, { mode: 0o600 })
  await rename(partial, join(folder, name))
}
