import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AgentId } from '@sallyport/core'
import { Hono } from 'hono'
import type { Bench } from '../agents/agents.fixture.ts'
import { StoredTokenUses } from '../agents/token-uses.ts'
import { type ApiListener, listenApi } from '../api/listen-api.ts'
import { DpopProofs } from '../dpop.ts'
import { MemoryLogins } from '../births/memory-logins.fixture.ts'
import { MemoryProofUses } from '../memory-proof-uses.fixture.ts'
import { SourceRates } from '../source-rates.ts'
import { type BirthsPart, openBirths } from '../births/births.ts'
import { noApprovals } from '../births/no-approvals.fixture.ts'
import type { LoginGate } from '../births/ports.ts'
import { loginProviders } from '../births/config/identity-config.ts'
import { LocalProvider } from '../births/local-provider.fixture.ts'
import { consentId, TestBrowser } from '../births/test-browser.fixture.ts'
import type { SignalEvent } from './signal.ts'
import { openSignals, type SignalsPart } from './signals.ts'
import { StoredLoginGate } from './stored-login-gate.ts'

const loopback = 'http://127.0.0.1:45123/cb'

const unlimited = { perSecond: 1_000_000, burst: 1_000_000 }

/** A person who is logged in. */
export interface Root {
  readonly id: AgentId
  readonly handle: string
}

/** A login that the person has allowed, and whose program has not asked for its agent yet. */
interface Login {
  readonly code: string
  readonly verifier: string
}

/** Logins and signals over HTTP, on a real store with real agents, with a real OpenID provider as the peer. */
export class SignalBench {
  readonly events: SignalEvent[] = []
  readonly faults: unknown[] = []
  provider!: LocalProvider
  births!: BirthsPart
  signals!: SignalsPart
  url = ''
  /** Runs once in the middle of the next birth, when the login was found to be good and its agent is not there yet. */
  duringBirth: (() => Promise<unknown>) | undefined
  /** Moves the clock of logins and signals. */
  shiftMs = 0
  /** Stops it, however long the machine takes. */
  stoppedAtMs: number | undefined
  readonly #bench: Bench
  readonly #dir = mkdtempSync(join(tmpdir(), 'signals-'))
  #api!: ApiListener
  #routes = new Hono()

  constructor(bench: Bench) {
    this.#bench = bench
  }

  /** `signals` is the text below `spec.signals` of the provider. */
  async open(signals = '{}'): Promise<void> {
    const front = new Hono()
    front.all('*', (context) => this.#routes.fetch(context.req.raw, context.env))
    this.#api = await listenApi(front, '127.0.0.1', 0)
    this.url = `http://127.0.0.1:${this.#api.port}`
    const logoutUri = `${this.url}/oidc/backchannel-logout`
    this.provider = await LocalProvider.open(`${this.url}/login/callback`, true, logoutUri)
    await this.reopen(signals)
  }

  /** Starts the logins and signals anew, as a restart does. */
  async reopen(signals = '{}'): Promise<void> {
    this.signals?.close()
    this.births?.close()
    mkdirSync(join(this.#dir, 'identity'), { recursive: true })
    writeFileSync(join(this.#dir, 'identity', 'a.yaml'), objects(this.provider.url, signals))
    const { store } = this.#bench
    const now = (): number => this.stoppedAtMs ?? Date.now() + this.shiftMs
    this.births = await openBirths({
      approvals: noApprovals,
      sources: new SourceRates(now, { logins: unlimited, births: unlimited }),
      logins: new MemoryLogins(),
      proofs: new DpopProofs(new MemoryProofUses(), now),
      ownUrls: () => [this.url],
      dataDir: this.#dir,
      gatewayUrl: () => this.url,
      agents: this.#bench.service,
      connections: async () => [],
      uses: new StoredTokenUses(store),
      gate: this.#gate(),
      onEvent: () => {},
      onConfig: () => {},
      onFault: (error) => this.faults.push(error),
      now,
    })
    this.signals = await openSignals({
      store,
      agents: this.#bench.service,
      births: this.births,
      gatewayUrl: () => this.url,
      onEvent: (event) => this.events.push(event),
      onFault: (error) => this.faults.push(error),
      now,
    })
    this.#routes = new Hono()
    this.#routes.route('/', this.births.routes)
    this.#routes.route('/', this.signals.routes)
  }

  #gate(): LoginGate {
    const gate = new StoredLoginGate(this.#bench.store, () =>
      loginProviders(this.births.folder.config).some((each) => each.signals?.scim !== undefined),
    )
    return {
      refusal: (login) => gate.refusal(login),
      seen: (login) => gate.seen(login),
      askedAgain: (person, groups) => gate.askedAgain(person, groups),
      remember: (root, login) => gate.remember(root, login),
      groupsOf: async (who, stated) => {
        const groups = await gate.groupsOf(who, stated)
        const { duringBirth } = this
        this.duringBirth = undefined
        await duringBirth?.()
        return groups
      },
    }
  }

  newBrowser(): TestBrowser {
    return new TestBrowser(this.url, this.#routes)
  }

  /** Goes as far as the code that the waiting program gets. */
  async begin(
    subject: string,
    claims: Readonly<Record<string, unknown>>,
    browser = this.newBrowser(),
  ): Promise<Login> {
    const verifier = randomBytes(32).toString('base64url')
    const challenge = createHash('sha256').update(verifier).digest('base64url')
    this.provider.subject = subject
    this.provider.account = claims
    const query = new URLSearchParams({ redirect: loopback, challenge }).toString()
    const page = await browser.visit(`${this.url}/login?${query}`, [this.provider.url])
    assert.equal(page.status, 200, page.text)
    const back = await browser.visit(`${this.url}/login/confirm`, [], {
      id: consentId(page),
      decision: 'allow',
    })
    const code = new URL(back.url).searchParams.get('code') ?? assert.fail(back.text)
    return { code, verifier }
  }

  redeem({ code, verifier }: Login): Promise<{ status: number; body: Record<string, unknown> }> {
    return this.send('/oauth/token', {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: loopback,
    })
  }

  async logIn(
    subject: string,
    claims: Readonly<Record<string, unknown>> = person(subject),
    browser?: TestBrowser,
  ): Promise<Root> {
    const { status, body } = await this.redeem(await this.begin(subject, claims, browser))
    assert.equal(status, 200, JSON.stringify(body))
    const { id } = body['agent'] as { readonly id: AgentId }
    return { id, handle: String(body['access_token']) }
  }

  /** Sends a form, as OAuth and OpenID Connect do. */
  async send(
    path: string,
    form: Readonly<Record<string, string>>,
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const answer = await fetch(`${this.url}${path}`, {
      method: 'POST',
      body: new URLSearchParams(form),
    })
    const text = await answer.text()
    const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
    return { status: answer.status, body }
  }

  stateOf(agent: { readonly id: string }): string | undefined {
    return this.#bench.service.get(agent.id)?.state
  }

  groupsOf(root: Root): readonly string[] | undefined {
    return this.#bench.service.liveRoots().find(({ id }) => id === root.id)?.principal.groups
  }

  async close(): Promise<void> {
    this.signals.close()
    this.births.close()
    await this.#api.close()
    await this.provider.close()
    rmSync(this.#dir, { recursive: true, force: true })
  }
}

export function person(
  subject: string,
  groups: readonly string[] = ['dev'],
): object & {
  readonly [claim: string]: unknown
} {
  return { email: `${subject}@example.com`, email_verified: true, groups }
}

const objects = (issuer: string, signals: string): string => `apiVersion: sallyport.dev/v1
kind: OidcProvider
metadata: {name: idp}
spec:
  issuer: ${issuer}
  clientId: sallyport
  clientSecret: {from: "env:SIGNALS_TEST_SECRET"}
  scopes: [openid, email, profile]
  signals: ${signals}
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: devs}
spec: {to: ["group:dev"], on: [{connections: [orders]}], allow: [rw]}
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: oncall}
spec: {to: ["group:oncall"], on: [{connections: [orders]}], allow: [ddl]}
`
process.env['SIGNALS_TEST_SECRET'] = 'test-secret'
