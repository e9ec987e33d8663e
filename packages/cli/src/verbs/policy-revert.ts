import { SallyportError } from '@sallyport/core'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printOne } from '../output.ts'

/** Puts an older set of policies in force again, as a new version: the files of the policies folder are those of then. */
export async function revert(
  context: VerbContext,
  number: string,
  flags: { readonly yes?: boolean },
): Promise<number> {
  if (flags.yes !== true) {
    const detail = `this replaces the files of the policies folder; say --yes where v${number} is meant`
    throw new SallyportError('SP_CONFIG_INVALID', detail)
  }
  const api = await context.api()
  const view = await api.call('POST /v1/policies/versions/{number}/revert', {
    params: { number: number.replace(/^v/u, '') },
  })
  const text = `The policies of ${number} are in force again, as v${view.version}.\n`
  await printOne(context.output, view, text, String(view.version))
  return EXIT.done
}
