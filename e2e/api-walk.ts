import assert from 'node:assert/strict'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { addressOf } from '../packages/cli/src/api-address.ts'
import type { TestGateway } from './test-gateway.ts'

/** An operation, as the document has it. */
export interface Operation {
  readonly operationId: string
  readonly security: readonly object[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> }
  readonly parameters?: readonly {
    readonly name: string
    readonly in: string
    readonly schema: object
  }[]
  readonly responses: Readonly<
    Record<
      string,
      {
        readonly description: string
        readonly content?: Readonly<Record<string, { readonly schema?: object }>>
      }
    >
  >
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

interface Parts {
  readonly params?: Readonly<Record<string, unknown>>
  readonly query?: Readonly<Record<string, unknown>>
  readonly body?: unknown
  /** The owner's where absent; null for none. */
  readonly token?: string | null
  /** A stream without an end is left after so many lines. */
  readonly lines?: number
  readonly headers?: Readonly<Record<string, string>>
}

/** Calls a gateway as its own document says, and holds each answer to that. */
export class ApiWalk {
  readonly operations: ReadonlyMap<string, Operation>
  /** Calls that were answered as they should be, at least once. */
  readonly answered = new Set<string>()
  readonly #gateway: TestGateway
  readonly #ownerToken: string
  readonly #validators = new Map<string, ValidateFunction>()
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false })

  private constructor(gateway: TestGateway, ownerToken: string, document: Document) {
    this.#gateway = gateway
    this.#ownerToken = ownerToken
    this.#ajv.addSchema({ $id: 'doc', ...document })
    this.operations = new Map(
      Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(
          ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const,
        ),
      ),
    )
  }

  static async open(gateway: TestGateway, ownerToken: string): Promise<ApiWalk> {
    const url = `http://127.0.0.1:${gateway.gateway.ports.api}/v1/openapi.json`
    return new ApiWalk(gateway, ownerToken, (await (await fetch(url)).json()) as Document)
  }

  /** Fails where it is refused, or where the answer is not as the document says. */
  async call<Answer = unknown>(call: string, parts: Parts = {}): Promise<Answer> {
    const { status, answer } = await this.send(call, parts)
    assert.ok(status < 300, `${call}: ${status} ${JSON.stringify(answer)}`)
    this.answered.add(call)
    return answer as Answer
  }

  /** Fails where the answer, be it a refusal, is not as the document says. */
  async send(call: string, parts: Parts = {}): Promise<{ status: number; answer: unknown }> {
    const operation = this.operations.get(call)
    assert.ok(operation, `${call} is not in the document`)
    const { params, query, body, token = this.#ownerToken, headers = {} } = parts
    const asked = { ...(params && { params }), ...(query && { query }) }
    const { method, path } = addressOf(call as 'GET /v1/status', asked as object)
    const stop = new AbortController()
    const response = await fetch(`http://127.0.0.1:${this.#gateway.gateway.ports.api}${path}`, {
      method,
      signal: stop.signal,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const { status } = response
    const described = operation.responses[status]
    const said = `${call} ${JSON.stringify(body)?.slice(0, 300)}`
    if (described === undefined)
      assert.fail(`${said}: ${status} is not documented: ${(await response.text()).slice(0, 300)}`)
    const type = response.headers.get('content-type')?.split(';')[0] ?? ''
    if (described.content === undefined) {
      assert.equal(await response.text(), '')
      return { status, answer: undefined }
    }
    const media = described.content[type]
    assert.ok(media, `${said}: ${status} with ${type} is not documented`)
    const answer = await read(response, type, parts.lines)
    stop.abort()
    const values = Array.isArray(answer) && type !== 'application/json' ? answer : [answer]
    if (media.schema !== undefined)
      for (const value of values) this.#check(media.schema, value, `${said}: ${status}`)
    if (status >= 400) {
      const { code } = (answer as { error: { code: string } }).error
      assert.ok(described.description.includes(code), `${said}: ${code} is not documented`)
    }
    return { status, answer }
  }

  #check(schema: object, value: unknown, said: string): void {
    const isValid = this.#validator(schema)
    const problems = isValid(value) ? [] : (isValid.errors ?? [])
    assert.deepEqual(problems, [], `${said} ${JSON.stringify(value)?.slice(0, 2000)}`)
  }

  #validator(schema: object): ValidateFunction {
    const text = JSON.stringify(schema)
    const known = this.#validators.get(text)
    if (known !== undefined) return known
    const made = this.#ajv.compile(JSON.parse(text.replaceAll('"#/', '"doc#/')) as object)
    this.#validators.set(text, made)
    return made
  }
}

async function read(response: Response, type: string, lines: number | undefined): Promise<unknown> {
  if (type === 'application/json') return await response.json()
  if (type !== 'application/x-ndjson' && type !== 'text/event-stream') return await response.text()
  const found: unknown[] = []
  let rest = ''
  const decoder = new TextDecoder()
  for await (const piece of response.body ?? []) {
    const parts = (rest + decoder.decode(piece, { stream: true })).split('\n')
    rest = parts.pop() ?? ''
    const texts = type === 'application/x-ndjson' ? parts : parts.flatMap(dataOf)
    found.push(...texts.filter((each) => each !== '').map((each) => JSON.parse(each) as unknown))
    if (lines !== undefined && found.length >= lines) break
  }
  return found
}

/** Lines of server-sent events (WHATWG HTML, section 9.2): only those with data count. */
function dataOf(line: string): string[] {
  return line.startsWith('data: ') ? [line.slice('data: '.length)] : []
}
