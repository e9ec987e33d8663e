import { StoredTokenUses } from './agents/token-uses.ts'
import { approvalPages, type PersonPage } from './approvals/approval-pages.ts'
import type { Approvals } from './approvals/approvals.ts'
import { ChatLinks } from './approvals/channels/people/chat-links.ts'
import { KnownPeople } from './approvals/channels/people/known-people.ts'
import { type BirthsOptions, type BirthsPart, openBirths } from './births/births.ts'
import { loginProviders } from './births/config/identity-config.ts'
import { gatewayBy } from './ledger/ledger.ts'
import { birthFact } from './ledger/told-facts.ts'
import type { Parts } from './parts.ts'
import { StoredLoginGate } from './signals/stored-login-gate.ts'
import { StoredLogins } from './stored-logins.ts'

/** Where people and workloads come in. */
export interface LoginDoors extends Pick<BirthsOptions, 'sources' | 'proofs' | 'ownUrls'> {
  /** The page of an id that is no request for approval. */
  readonly pageOf: (id: string) => PersonPage | undefined
}

interface OpenLogins {
  readonly births: BirthsPart
  readonly people: KnownPeople
  readonly links: ChatLinks
}

/** Opens how people and workloads log in, and what the gateway knows of people by that. */
export async function openLogins(
  parts: Parts & { readonly approvals: Approvals },
  gatewayUrl: () => string,
  { pageOf, ...doors }: LoginDoors,
  publish: () => Promise<void>,
  undo: AsyncDisposableStack,
): Promise<OpenLogins> {
  const { options, agents, connections, store, keys, ledger, approvals, fault } = parts
  const opened: { births?: BirthsPart } = {}
  const gate = new StoredLoginGate(store, (issuer) => {
    const config = opened.births?.folder.config
    // People are looked at while the files are being opened: what a directory denied is denied until these say otherwise.
    if (config === undefined) return true
    return loginProviders(config).some(
      (each) => each.issuer === issuer && each.signals?.scim !== undefined,
    )
  })
  const links = new ChatLinks({ store, ledger, gate, now: Date.now })
  const births = await openBirths({
    dataDir: options.dataDir,
    gatewayUrl,
    agents,
    connections: async () => await connections.list(),
    uses: new StoredTokenUses(store),
    logins: new StoredLogins(store, keys.kek, fault),
    gate,
    approvals: approvalPages(approvals, gate, pageOf),
    links,
    ...doors,
    onEvent: (event) => {
      void ledger.write(birthFact(event))
      options.onEvent({ kind: 'birth', event })
    },
    onConfig: (problems) => {
      const detail = problems === '' ? {} : { problem: problems }
      const actor = gatewayBy('identity')
      void ledger.write({ what: 'identity.read', actor, subject: 'identity', detail })
      options.onEvent({ kind: 'identity.read', problems })
      // Whether persons can answer for commands that are held, and where.
      if (opened.births !== undefined) publish().catch(fault)
    },
    onFault: fault,
  })
  opened.births = births
  undo.defer(() => births.close())
  const people = new KnownPeople({
    store,
    gate,
    providers: () => loginProviders(births.folder.config),
    liveRoots: () => agents.liveRoots(),
    now: Date.now,
  })
  return { births, people, links }
}

/** A provider of logins, by the name of its object. */
export function providerNamed(
  { folder }: BirthsPart,
  name: string,
): { readonly issuer: string; readonly isSaml: boolean } | undefined {
  const { providers, samlProviders } = folder.config
  const bySaml = samlProviders.get(name)
  const found = bySaml ?? providers.get(name)
  return found === undefined ? undefined : { issuer: found.issuer, isSaml: bySaml !== undefined }
}
