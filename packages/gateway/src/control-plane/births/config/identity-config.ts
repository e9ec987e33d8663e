import type {
  Budget,
  DelegateLimits,
  GrantClient,
  GrantLayer,
  GrantWindow,
  Secret,
} from '@sallyport/core'
import type { BreakGlassGrant } from '../../break-glass/break-glass.ts'

/** All that the files of the folder `identity` say. */
export interface IdentityConfig {
  readonly providers: ReadonlyMap<string, OidcProvider>
  /** No name is in both maps. */
  readonly samlProviders: ReadonlyMap<string, SamlProvider>
  readonly rules: ReadonlyMap<string, TrustRule>
  readonly services: ReadonlyMap<string, Service>
  readonly grants: ReadonlyMap<string, Grant>
  readonly profiles: ReadonlyMap<string, AgentProfile>
  readonly breakGlass: ReadonlyMap<string, BreakGlassGrant>
}

/** Where people log in, whatever the protocol. */
export interface LoginProvider {
  readonly name: string
  /** What the ids of its people begin with: the issuer of OpenID Connect, the entity id of SAML. */
  readonly issuer: string
  readonly groupsClaim: string
  /** The claim, or the attribute, that `user:` of a grant names. */
  readonly userClaim: string
  /** Empty: everybody whom the provider knows. */
  readonly allowedGroups: readonly string[]
  readonly allowedDomains: readonly string[]
  readonly ttlMs: number
  readonly signals?: ProviderSignals
}

/** A provider of SAML 2.0. */
export interface SamlProvider extends LoginProvider {
  /** Where browsers are sent to log in. */
  readonly ssoUrl: string
  /** PEM. Any of them may have signed: two while a provider changes its key. */
  readonly certificates: readonly string[]
}

/** A provider of OpenID Connect. */
export interface OidcProvider extends LoginProvider {
  readonly clientId: string
  /** Absent for a public client: PKCE alone protects the code. */
  readonly clientSecret?: Secret<string>
  readonly scopes: readonly string[]
}

/** By what a provider reports that somebody is gone, beside the logout of a session. */
export interface ProviderSignals {
  /** What a signal does to the trees of the person. */
  readonly mode: 'revoke' | 'freeze'
  /** The bearer token with which the provider keeps users and groups here. */
  readonly scim?: Secret<string>
  readonly events?: EventSource
}

/** A transmitter of shared signals. */
export interface EventSource {
  /** As its security event tokens name it. */
  readonly issuer: string
  readonly keys: KeyPlace
  /** Absent: the URL of the gateway. */
  readonly audience?: string
  /** What the transmitter shows when it pushes; absent where it only signs. */
  readonly pushToken?: Secret<string>
  /** Where events wait to be fetched. */
  readonly poll?: { readonly url: string; readonly token: Secret<string> }
}

/** Which tokens of workloads become which agents. */
export interface TrustRule {
  readonly name: string
  readonly issuer: string
  readonly keys: KeyPlace
  /** Asked besides, whether the token is still good. */
  readonly tokenReview?: TokenReview
  /** Absent: the URL of the gateway. */
  readonly audience?: string
  readonly match: readonly ClaimMatch[]
  readonly allowEvents: readonly string[]
  readonly root?: Naming
  readonly child?: Naming
  readonly profile?: string
  readonly owner: string
  readonly maxTtlMs: number
  /** `per-pod`: a container that starts again shows the token that made its agent, and gets that agent again. */
  readonly replay: 'once' | 'per-pod'
}

/** A program that holds a key of its own. */
export interface Service {
  readonly name: string
  readonly keys: KeyPlace
  readonly owner: string
  readonly profile?: string
  readonly maxTtlMs: number
}

/** Where the keys of an issuer are. */
export type KeyPlace =
  | { readonly kind: 'discovery' }
  | { readonly kind: 'uri'; readonly uri: string }
  | { readonly kind: 'file'; readonly path: string }

/** The API of a cluster that made a token. */
export interface TokenReview {
  readonly url: string
  /** PEM; absent: the authorities of the system. */
  readonly caFile?: string
  /** Of a service account that may create TokenReviews, and nothing else. */
  readonly token: Secret<string>
}

/** A claim, and the values that are accepted; with `glob` they are patterns. */
export interface ClaimMatch {
  readonly claim: string
  readonly values: readonly string[]
  readonly glob: boolean
}

/** Claims that make a key, and a template such as `gh-{run_id}`. */
export interface Naming {
  readonly key: readonly string[]
  readonly name: string
}

/** Who may hold what. It has no *deny*: that is policy. */
export interface Grant {
  readonly name: string
  /** `user:`, `group:`, `trust:` and `service:`. */
  readonly to: readonly string[]
  readonly on: readonly GrantTarget[]
  readonly classes: readonly string[]
  readonly window?: GrantWindow
  readonly client?: GrantClient
  readonly budget: Budget
  readonly delegate: DelegateLimits
}

/** Connections by name or by label, narrowed by dimensions. */
export interface GrantTarget {
  readonly connections: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly dimensions: Readonly<Record<string, readonly string[]>>
  readonly rowsMax?: number
}

/** A preset and a ceiling; grants nothing by itself. */
export interface AgentProfile {
  readonly name: string
  readonly owner?: string
  readonly purpose?: string
  readonly ceiling: GrantLayer
  readonly delegate: DelegateLimits
}

/** All providers where people log in. */
export function loginProviders({
  providers,
  samlProviders,
}: Pick<IdentityConfig, 'providers' | 'samlProviders'>): readonly LoginProvider[] {
  return [...providers.values(), ...samlProviders.values()]
}
