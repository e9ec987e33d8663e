import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printList } from '../output.ts'

interface Operation {
  readonly method: string
  readonly path: string
  readonly who: string
  readonly does: string
}

interface Document {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<Record<string, { readonly summary: string; readonly security: readonly object[] }>>
    >
  >
}

/** Lists the operations of the API; as JSON, the OpenAPI document that the gateway hands out. */
export async function api(context: VerbContext): Promise<number> {
  const { output } = context
  const client = await context.api()
  const document = await client.call('GET /v1/openapi.json')
  if (output.form === 'json' || (output.form === undefined && !output.isTerminal)) {
    output.data(`${JSON.stringify(document, undefined, 2)}\n`)
    return EXIT.done
  }
  const rows = operationsOf(document as Document)
  const columns = {
    METHOD: (row: Operation) => row.method,
    PATH: (row: Operation) => row.path,
    WHO: (row: Operation) => row.who,
    DOES: (row: Operation) => row.does,
  }
  await printList(output, rows, columns, ({ method, path }) => `${method} ${path}`)
  return EXIT.done
}

function operationsOf({ paths }: Document): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary: does, security }]) => ({
      method: method.toUpperCase(),
      path,
      who: whoOf(security),
      does,
    })),
  )
}

function whoOf(security: readonly object[]): string {
  if (security.length === 0) return 'anybody'
  return security.some((each) => 'agent' in each) ? 'agents' : 'owner'
}
