import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printOne } from '../output.ts'

/** Prints the files of a set of policies that was in force. */
export async function show(context: VerbContext, version: string): Promise<number> {
  const api = await context.api()
  const number = version.replace(/^v/u, '')
  const view = await api.call('GET /v1/policies/versions/{number}', { params: { number } })
  const text = view.files.map(({ file, text: held }) => `# ${file}\n${held.trimEnd()}\n`)
  await printOne(context.output, view, text.join('---\n'), String(view.version))
  return EXIT.done
}
