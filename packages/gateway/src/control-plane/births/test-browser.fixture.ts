/** A page, or the address outside of both sites to which the browser was sent. */
export interface Visited {
  readonly url: string
  readonly status: number
  readonly text: string
}

/** The gateway's side: routes in this process, or a server's. */
interface Routes {
  request(request: Request): Response | Promise<Response>
}

/** A browser as far as logins need one: it follows redirects and keeps cookies. */
export class TestBrowser {
  readonly #gatewayUrl: string
  readonly #routes: Routes
  readonly #cookies = new Map<string, Map<string, string>>()

  constructor(gatewayUrl: string, routes: Routes) {
    this.#gatewayUrl = gatewayUrl
    this.#routes = routes
  }

  /** Ends at the first page, or where the address is none of `sites`. */
  async visit(
    url: string,
    sites: readonly string[],
    form?: Readonly<Record<string, string>>,
  ): Promise<Visited> {
    let next = url
    let body = form
    for (let step = 0; step < 20; step += 1) {
      const { origin } = new URL(next)
      if (origin !== this.#gatewayUrl && !sites.includes(origin))
        return { url: next, status: 0, text: '' }
      const answer = await this.#send(next, origin, body)
      body = undefined
      const location = answer.headers.get('location')
      if (answer.status < 300 || answer.status >= 400 || location === null) {
        return { url: next, status: answer.status, text: await answer.text() }
      }
      next = new URL(location, next).href
    }
    throw new Error('too many redirects')
  }

  async #send(
    url: string,
    origin: string,
    form: Readonly<Record<string, string>> | undefined,
  ): Promise<Response> {
    const jar = this.#cookies.get(origin) ?? new Map<string, string>()
    this.#cookies.set(origin, jar)
    const request = new Request(url, {
      redirect: 'manual',
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) }),
    })
    const answer =
      origin === this.#gatewayUrl ? await this.#routes.request(request) : await fetch(request)
    for (const cookie of answer.headers.getSetCookie()) {
      const [pair = ''] = cookie.split(';')
      jar.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
    }
    return answer
  }
}

/** The hidden id of the page that asks for consent. */
export function consentId({ text }: Visited): string {
  return /name="id" value="([^"]+)"/u.exec(text)?.[1] ?? ''
}
