import { createHash, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { SallyportError } from '@sallyport/core'

/** Only numbers: a name could be made to lead elsewhere (RFC 8252, section 8.3). */
const address = '127.0.0.1'
const path = '/callback'

/** What the answer to a login must hold. */
export interface ExpectedAnswer {
  readonly state: string
  /** The server that was asked; undefined where it does not name itself in its answers (RFC 9207). */
  readonly issuer: string | undefined
}

/** The server's answer, and the browser that brought it and waits. */
export interface LoginAnswer {
  readonly code: string
  /** Sends the browser to a page that says how it ended. */
  leadTo(url: string): Promise<void>
  tell(title: string, text: string): Promise<void>
}

/** Waits on a port of loopback for the browser that comes back from a login (RFC 8252, section 7.3). */
export class LoopbackReceiver {
  readonly #server: Server
  readonly #expected: ExpectedAnswer
  readonly #answer = Promise.withResolvers<LoginAnswer>()
  #isAnswered = false

  /** On a port that the system chooses; rejects where there is none to be had. */
  static async open(expected: ExpectedAnswer, port = 0): Promise<LoopbackReceiver> {
    const server = createServer()
    server.listen(port, address)
    await once(server, 'listening')
    return new LoopbackReceiver(server, expected)
  }

  private constructor(server: Server, expected: ExpectedAnswer) {
    this.#server = server
    this.#expected = expected
    // Nobody may be waiting yet when it comes.
    this.#answer.promise.catch(() => undefined)
    server.on('request', (request, response) => void this.#serve(request, response))
  }

  get redirectUri(): string {
    return `http://${this.#host}${path}`
  }

  /** Rejects with `SP_NOT_LOGGED_IN` when the person denies, when the answer is wrong, and after `msMax`. */
  async answer(msMax: number): Promise<LoginAnswer> {
    const stop = new AbortController()
    const late = sleep(msMax, undefined, { signal: stop.signal }).then(() => {
      throw failed(`nobody finished the login in the browser within ${msMax / 60_000} minutes`)
    })
    late.catch(() => undefined)
    try {
      return await Promise.race([this.#answer.promise, late])
    } finally {
      stop.abort()
    }
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  get #host(): string {
    return `${address}:${(this.#server.address() as AddressInfo).port}`
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = URL.parse(request.url ?? '', `http://${this.#host}`)
    // A page whose name was made to lead here must not get to know anything.
    if (request.headers.host !== this.#host || request.method !== 'GET' || url?.pathname !== path)
      return send(response, 404, 'Nothing here', 'A login of Sallyport waits at another address.')
    const query = url.searchParams
    // What does not know the state is not the answer to this login: it neither finishes nor ends it.
    if (!isSame(query.get('state') ?? '', this.#expected.state) || isRepeated(query))
      return send(
        response,
        400,
        'Not this login',
        'This answer belongs to another login. Go on in the tab that the terminal opened, or begin again there.',
      )
    if (this.#isAnswered)
      return send(
        response,
        409,
        'Answered already',
        'This login was answered in another tab. You can close this one.',
      )
    this.#isAnswered = true
    await this.#take(query, response)
  }

  async #take(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const { issuer } = this.#expected
    if (issuer !== undefined && query.get('iss') !== issuer) {
      const why = 'the answer came from another server than the one that was asked'
      return this.#refuse(response, why, 'Not logged in', `It was refused: ${why}.`)
    }
    const error = query.get('error')
    if (error === 'access_denied')
      return this.#refuse(
        response,
        'the login was denied in the browser',
        'Denied',
        'Nothing was logged in. You can close this window.',
      )
    const code = query.get('code') ?? ''
    if (error !== null || code === '')
      return this.#refuse(
        response,
        'the gateway did not confirm the login',
        'Not logged in',
        'The gateway did not confirm the login. Begin again in the terminal.',
      )
    this.#answer.resolve({
      code,
      leadTo: (to) => finish(response.writeHead(303, { ...headers, location: to })),
      tell: (title, text) => send(response, 400, title, text),
    })
  }

  async #refuse(response: ServerResponse, why: string, title: string, text: string): Promise<void> {
    await send(response, 400, title, text)
    this.#answer.reject(failed(why))
  }
}

function failed(why: string): SallyportError {
  return new SallyportError('SP_NOT_LOGGED_IN', why, { detail: why })
}

/** RFC 6749, section 3.1: no parameter twice. */
function isRepeated(query: URLSearchParams): boolean {
  return new Set(query.keys()).size < query.size
}

/** Digests have one length, which a comparison in constant time needs. */
function isSame(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(left), digest(right))
}

const style =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1rem}'
const headers = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; frame-ancestors 'none'; base-uri 'none'`,
  'cache-control': 'no-store',
  // The address of this page holds the code.
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  connection: 'close',
} as const

async function send(
  response: ServerResponse,
  status: number,
  title: string,
  text: string,
): Promise<void> {
  const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title} · Sallyport</title><style>${style}</style></head>
<body><main><h1>${title}</h1><p>${text}</p></main></body></html>
`
  await finish(response.writeHead(status, headers), page)
}

/** Resolves when it has left, or the browser is gone. */
async function finish(response: ServerResponse, body = ''): Promise<void> {
  const left = new Promise<void>((resolve) => {
    response.once('finish', resolve)
    response.once('close', resolve)
  })
  response.end(body)
  await left
}
