import type { GatewayApi } from '../gateway-api.ts'

/** The entries of a recording, one JSON object a line. */
export async function* recordedLines(api: GatewayApi, session: string): AsyncGenerator<string> {
  let rest = ''
  for await (const piece of api.text('GET /v1/sessions/{session}', { params: { session } })) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') yield rest
}
