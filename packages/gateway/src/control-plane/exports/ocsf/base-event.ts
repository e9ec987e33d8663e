import type { ExportFact } from '../facts/export-fact.ts'

/** The version of the schema that events follow; attributes move between versions. */
const ocsfVersion = '1.9.0'

/** An event of the Open Cybersecurity Schema Framework, https://schema.ocsf.io. */
export type OcsfEvent = Readonly<Record<string, unknown>>

type Agent = { readonly id: string; readonly name: string }

/** What an event is, in the schema's numbers and words. */
export interface Kind {
  readonly category: readonly [uid: number, name: string]
  readonly class: readonly [uid: number, name: string]
  readonly activity: readonly [id: number, name: string]
}

/** Who did it, and from where. */
export interface Who {
  readonly profiles: readonly string[]
  readonly actor: OcsfEvent
  /** The agent that acts, where one acts for somebody else. */
  readonly agent: Agent | undefined
  /** Empty where it is not known. */
  readonly source: string
  /** What all events of a tree share. */
  readonly tree: string
}

export const iam = [3, 'Identity & Access Management'] as const
export const application = [6, 'Application Activity'] as const
export const authentication = [3002, 'Authentication'] as const
export const authorizeSession = [3003, 'Authorize Session'] as const
export const entityManagement = [3004, 'Entity Management'] as const
export const datastoreActivity = [6005, 'Datastore Activity'] as const

export const severity = { informational: 1, medium: 3, high: 4 } as const

/** What all events have. */
export function baseEvent(
  { uid, position, atMs }: ExportFact,
  version: string,
  { category, class: of, activity }: Kind,
  { profiles, actor, agent, source, tree }: Who,
): OcsfEvent {
  return {
    metadata: {
      version: ocsfVersion,
      product: { name: 'Sallyport', vendor_name: 'Sallyport', version },
      uid,
      sequence: position,
      correlation_uid: tree,
      profiles: agent === undefined ? profiles : [...profiles, 'ai_operation'],
    },
    time: Math.round(atMs),
    category_uid: category[0],
    category_name: category[1],
    class_uid: of[0],
    class_name: of[1],
    activity_id: activity[0],
    activity_name: activity[1],
    type_uid: of[0] * 100 + activity[0],
    actor,
    src_endpoint: source === '' ? { svc_name: 'unknown' } : { ip: source },
    ...(agent === undefined
      ? {}
      : { ai_agent: { name: agent.name, uid: agent.id, instance_uid: agent.id } }),
  }
}

/** A chain as objects that name the one above, whatever the schema has for it. */
export function linked(chain: readonly Agent[]): OcsfEvent[] {
  return chain.map(({ id, name }, at) => ({
    uid: id,
    name,
    ...(at === 0 ? {} : { parent_uid: chain[at - 1]?.id }),
  }))
}
