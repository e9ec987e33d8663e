import type { Hono } from 'hono'
import type { CallerOptions } from '../agents/api-caller.ts'
import type { PersonPage } from '../approvals/approval-pages.ts'
import type { Approvals } from '../approvals/approvals.ts'
import type { BirthsPart } from '../births/births.ts'
import type { Incidents } from '../incidents/incidents.ts'
import type { Parts } from '../parts.ts'
import { GlassDrafts } from './glass-drafts.ts'
import { glassPage, incidentPage } from './glass-pages.ts'
import { glassRoutes } from './glass-routes.ts'
import { Glasses } from './glasses.ts'

/** Break-glass, as the rest of the control plane needs it. */
export interface BreakGlassPart {
  readonly glasses: Glasses
  readonly routes: Hono
  /** The page of an id that is no request for approval. */
  page(id: string): PersonPage | undefined
}

/** Opens break-glass on the parts of a gateway, and has its approvals ask it. */
export async function openBreakGlass(
  { store, ledger, agents, credentials, connections, options, fault }: Parts,
  who: CallerOptions,
  of: {
    readonly approvals: Approvals
    readonly births: BirthsPart
    readonly incidents: () => Incidents
    readonly port: () => number
    /** Where persons decide, with an id behind it; undefined where nobody can log in. */
    readonly pageUrl: () => string | undefined
  },
  undo: AsyncDisposableStack,
): Promise<BreakGlassPart> {
  const now = (): number => Date.now()
  const glasses = await Glasses.open({
    store,
    ledger,
    now,
    onFault: fault,
    grants: () => of.births.folder.config.breakGlass,
    rootOf: (agent) => agents.get(agent)?.principal.id,
    refusal(agent) {
      const standing = agents.authorizeAgent(agent)
      return standing.ok ? undefined : standing.detail
    },
    async openIncident({ id, by, agent, reason }, review) {
      const title = `break-glass by ${by.name}: ${reason}`.slice(0, titleCharactersMax)
      const scope = { kind: 'agent', text: agent } as const
      const glass = { id, by: { principal: by.principal, name: by.name }, review }
      return (await of.incidents().open({ title, scope }, by, glass)).id
    },
  })
  undo.defer(() => glasses.stop())
  of.approvals.breakGlass = glasses
  agents.onChange(() => glasses.agentsChanged())
  const drafts = new GlassDrafts(now)
  const routes = glassRoutes({
    ...who,
    glasses,
    drafts,
    issue: async (request) => await credentials.issue(request),
    async urlOf({ user, secret, connection }) {
      const { database } = await connections.get(connection)
      const login = `${encodeURIComponent(user)}:${secret}@${options.host}:${of.port()}`
      return `postgresql://${login}/${encodeURIComponent(database)}?sslmode=require`
    },
    pageOf(draft) {
      const url = of.pageUrl()
      return url === undefined ? undefined : `${url}${draft}`
    },
  })
  return {
    glasses,
    routes,
    page(id) {
      if (id.startsWith('bg_')) return glassPage(glasses, drafts)
      return id.startsWith('in_') ? incidentPage(of.incidents()) : undefined
    },
  }
}

const titleCharactersMax = 200
