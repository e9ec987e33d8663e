import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isNode, type Document, type Node } from 'yaml'
import { didYouMean } from '../../../conditions/did-you-mean.ts'
import type { ConfigProblem } from '../../policies/config-problem.ts'
import { FieldReader } from '../../policies/field-reader.ts'
import { namePattern } from '../../policies/read-rule.ts'
import { YamlSource } from '../../policies/yaml-source.ts'
import {
  type AgentProfile,
  type Grant,
  type IdentityConfig,
  type LoginProvider,
  loginProviders,
  type OidcProvider,
  type SamlProvider,
  type Service,
  type TrustRule,
} from './identity-config.ts'
import type { BreakGlassGrant } from '../../break-glass/break-glass.ts'
import { readBreakGlass } from './read-break-glass.ts'
import { readAgentProfile, readGrant } from './read-grant.ts'
import { readOidcProvider } from './read-oidc-provider.ts'
import { readSamlProvider } from './read-saml-provider.ts'
import { readService } from './read-service.ts'
import { readTrustRule } from './read-trust-rule.ts'

export type LoadedIdentity =
  | { readonly kind: 'ok'; readonly config: IdentityConfig }
  | { readonly kind: 'refused'; readonly problems: readonly ConfigProblem[] }

/** Every token and every change of a group is held against all of them. */
const objectsMax = 2000
/** Larger files are mistakes. */
const fileCharactersMax = 1_048_576
const topFields = ['apiVersion', 'kind', 'metadata', 'spec']
const kinds = [
  'OidcProvider',
  'SamlProvider',
  'TrustRule',
  'Service',
  'Grant',
  'AgentProfile',
  'BreakGlass',
] as const

/** What is read so far, and references that are checked when all files are read. */
interface Draft {
  readonly providers: Map<string, OidcProvider>
  readonly samlProviders: Map<string, SamlProvider>
  readonly rules: Map<string, TrustRule>
  readonly services: Map<string, Service>
  readonly grants: Map<string, Grant>
  readonly profiles: Map<string, AgentProfile>
  readonly breakGlass: Map<string, BreakGlassGrant>
  readonly references: Reference[]
}

interface Reference {
  readonly source: YamlSource
  readonly node: Node | null | undefined
  readonly path: string
  readonly to: 'profile' | 'trust rule' | 'service'
  readonly name: string
}

/** Reads all files of a folder. One problem in one file refuses all: half of the rules is worse than the last whole ones. */
export async function loadIdentityFolder(dir: string): Promise<LoadedIdentity> {
  const names = (await readdir(dir)).filter((name) => /\.ya?ml$/u.test(name)).sort()
  const files = await Promise.all(
    names.map(async (name) => ({
      file: join(dir, name),
      text: await readFile(join(dir, name), 'utf8'),
    })),
  )
  return readIdentityFiles(files)
}

/** Reads the text of files; only secrets that they name are read from the disk. */
export function readIdentityFiles(
  files: readonly { readonly file: string; readonly text: string }[],
): LoadedIdentity {
  const draft: Draft = {
    providers: new Map(),
    samlProviders: new Map(),
    rules: new Map(),
    services: new Map(),
    grants: new Map(),
    profiles: new Map(),
    breakGlass: new Map(),
    references: [],
  }
  const sources = files.map(({ file, text }) => readFileText(file, text, draft))
  for (const reference of draft.references) checkReference(reference, draft)
  const problems = sources.flatMap((source) => source.problems)
  if (problems.length > 0) return { kind: 'refused', problems }
  const { references: _references, ...config } = draft
  return { kind: 'ok', config }
}

function readFileText(file: string, text: string, draft: Draft): YamlSource {
  const isTooLarge = text.length > fileCharactersMax
  const source = new YamlSource(file, isTooLarge ? '' : text)
  if (isTooLarge) source.report('this file is too large', '', '', undefined)
  for (const document of source.documents) readDocument(source, document, draft)
  const { references: _references, ...maps } = draft
  const count = Object.values(maps).reduce((sum, { size }) => sum + size, 0)
  if (count > objectsMax) {
    const hint = 'all files of the folder count together'
    source.report(
      `there are ${count} objects up to here; at most ${objectsMax} are taken`,
      hint,
      '',
      undefined,
    )
  }
  return source
}

function readDocument(source: YamlSource, document: Document, draft: Draft): void {
  if (document.errors.length > 0 || !isNode(document.contents)) return
  const top = new FieldReader(source, document.contents, '', topFields)
  for (const name of topFields) top.require(name)
  top.oneOf('apiVersion', ['sallyport.dev/v1'])
  const kind = top.oneOf('kind', kinds)
  if (kind === undefined || !top.has('metadata') || !top.has('spec')) return
  const metadata = new FieldReader(source, top.get('metadata'), 'metadata', ['name'])
  metadata.require('name')
  const name = metadata.text('name') ?? ''
  if (metadata.has('name') && !namePattern.test(name)) {
    metadata.report('name', `"${name}" is not a name`, 'use a-z, 0-9 and -, at most 63 characters')
  }
  if (mapOf(draft, kind).has(name)) metadata.report('name', `there is another ${kind} "${name}"`)
  readSpec(kind, name, top, draft)
}

function mapOf(draft: Draft, kind: (typeof kinds)[number]): ReadonlyMap<string, unknown> {
  const maps = {
    OidcProvider: draft.providers,
    SamlProvider: draft.samlProviders,
    TrustRule: draft.rules,
    Service: draft.services,
    Grant: draft.grants,
    AgentProfile: draft.profiles,
    BreakGlass: draft.breakGlass,
  }
  return maps[kind]
}

function readSpec(
  kind: (typeof kinds)[number],
  name: string,
  top: FieldReader,
  draft: Draft,
): void {
  const spec = top.get('spec')
  const { source } = top
  if (kind === 'OidcProvider') {
    const provider = readOidcProvider(name, spec, top)
    checkRivals(provider, top, draft)
    draft.providers.set(name, provider)
  } else if (kind === 'SamlProvider') {
    const provider = readSamlProvider(name, spec, top)
    checkRivals(provider, top, draft)
    draft.samlProviders.set(name, provider)
  } else if (kind === 'TrustRule') {
    const rule = readTrustRule(name, spec, top)
    draft.rules.set(name, rule)
    referToProfile(rule, top, draft)
  } else if (kind === 'Service') {
    const service = readService(name, spec, top)
    draft.services.set(name, service)
    referToProfile(service, top, draft)
  } else if (kind === 'Grant') {
    const grant = readGrant(name, spec, top)
    draft.grants.set(name, grant)
    for (const [prefix, to] of [
      ['trust:', 'trust rule'],
      ['service:', 'service'],
    ] as const) {
      const names = grant.to.filter((each) => each.startsWith(prefix))
      for (const each of names.map((who) => who.slice(prefix.length)))
        draft.references.push({ source, node: top.get('spec'), path: 'spec.to', to, name: each })
    }
  } else if (kind === 'BreakGlass') {
    draft.breakGlass.set(name, readBreakGlass(name, spec, top))
  } else draft.profiles.set(name, readAgentProfile(name, spec, top))
}

/** What tells providers apart: by their names logins are remembered, by the rest it is known who calls. */
function checkRivals(provider: LoginProvider, top: FieldReader, draft: Draft): void {
  const tokenOf = ({ signals }: LoginProvider): string | undefined => signals?.scim?.expose()
  const senderOf = ({ signals }: LoginProvider): string | undefined => signals?.events?.issuer
  const isSame = (left: string | undefined, right: string | undefined): boolean =>
    left !== undefined && left === right
  for (const other of loginProviders(draft)) {
    if (other.name === provider.name) top.report('spec', 'another kind of provider has this name')
    if (other.issuer === provider.issuer)
      top.report('spec', `provider "${other.name}" has this issuer already`)
    if (isSame(tokenOf(other), tokenOf(provider)))
      top.report('spec', `provider "${other.name}" has this token of signals.scim already`)
    if (isSame(senderOf(other), senderOf(provider)))
      top.report('spec', `provider "${other.name}" has events of this issuer already`)
  }
}

function referToProfile(
  { profile }: { readonly profile?: string },
  top: FieldReader,
  { references }: Draft,
): void {
  if (profile === undefined) return
  const node = top.get('spec')
  const at = { path: 'spec.profile', to: 'profile', name: profile } as const
  references.push({ source: top.source, node, ...at })
}

/** A name that nothing has is a slip, and what it was meant for would go without its limit. */
function checkReference({ source, node, path, to, name }: Reference, draft: Draft): void {
  const places = { profile: draft.profiles, 'trust rule': draft.rules, service: draft.services }
  const known: ReadonlyMap<string, unknown> = places[to]
  if (known.has(name)) return
  const near = didYouMean(name, known.keys())
  source.report(
    `unknown ${to} "${name}"`,
    near === undefined ? '' : `did you mean "${near}"?`,
    path,
    node,
  )
}
