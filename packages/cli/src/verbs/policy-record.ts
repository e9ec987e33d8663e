import { testsOfRecorded } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'

/** Writes tests of recorded commands, as YAML: that is what `policy test` reads. With -o json, the commands that they are made of. */
export async function record(context: VerbContext, what: string): Promise<number> {
  const api = await context.api()
  const commands = await api.call('GET /v1/policies/recorded/{what}', { params: { what } })
  const { form } = context.output
  if (form === 'json' || form === 'ndjson') {
    context.output.data(`${JSON.stringify(commands, undefined, form === 'json' ? 2 : 0)}\n`)
  } else {
    const name = what.toLowerCase().replaceAll(/[^a-z0-9-]/gu, '-')
    context.output.data(await testsOfRecorded(name, commands))
  }
  return EXIT.done
}
