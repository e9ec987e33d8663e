import type { Store } from '../../ports/store.ts'
import type { AnchorRange, RecordedPart, Shipped } from './recorded-part.ts'

/** A row that a restart goes on from. */
export interface KnownPart {
  readonly session: string
  readonly part: string
  readonly shipped: Shipped
  readonly problems: readonly string[]
  readonly anchors: AnchorRange | undefined
  readonly isSealed: boolean
}

/** How far every part is in the recording store: rows of the database. */
export class ShippedParts {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** All parts of these runs. Where somebody removed the journals, two sessions may have parts of one name. */
  async ofRuns(runs: readonly { worker: number; run: number }[]): Promise<KnownPart[]> {
    const known: KnownPart[] = []
    for (const { worker, run } of runs) {
      const rows = await this.#store.db
        .selectFrom('recording_part')
        .selectAll()
        .where('worker', '=', worker)
        .where('run', '=', run)
        .execute()
      known.push(...rows.map(knownOf))
    }
    return known
  }

  /** All parts of a session. */
  async ofSession(session: string): Promise<KnownPart[]> {
    const rows = await this.#store.db
      .selectFrom('recording_part')
      .selectAll()
      .where('session_id', '=', session)
      .execute()
    return rows.map(knownOf)
  }

  /** Writes where these parts are now, all or none, and resolves once that would survive a power failure. */
  async save(parts: readonly RecordedPart[]): Promise<void> {
    await this.#store.durable(async (tx) => {
      for (let at = 0; at < parts.length; at += rowsPerInsert) {
        await tx
          .insertInto('recording_part')
          .values(parts.slice(at, at + rowsPerInsert).map(rowOf))
          .onConflict((conflict) =>
            conflict.columns(['session_id', 'part']).doUpdateSet((row) => ({
              shipped: row.ref('excluded.shipped'),
              segments: row.ref('excluded.segments'),
              bytes: row.ref('excluded.bytes'),
              head: row.ref('excluded.head'),
              previous: row.ref('excluded.previous'),
              anchor_first: row.ref('excluded.anchor_first'),
              anchor_last: row.ref('excluded.anchor_last'),
              problems: row.ref('excluded.problems'),
              sealed_at: row.ref('excluded.sealed_at'),
            })),
          )
          .execute()
      }
    })
  }
}

/** A statement takes at most 65,535 parameters. */
const rowsPerInsert = 1000

function rowOf(part: RecordedPart) {
  const { session, worker, run, reference } = part.id
  const { position, segments, bytes, head, previous } = part.shipped
  return {
    session_id: session,
    part: part.name,
    worker,
    run,
    reference,
    shipped: position,
    segments,
    bytes,
    head,
    previous,
    anchor_first: part.anchors?.first ?? null,
    anchor_last: part.anchors?.last ?? null,
    problems: JSON.stringify(part.problems),
    sealed_at: part.isSealed ? new Date() : null,
  }
}

function knownOf(row: {
  session_id: string
  part: string
  shipped: number
  segments: number
  bytes: string
  head: string
  previous: string
  anchor_first: number | null
  anchor_last: number | null
  problems: string[]
  sealed_at: Date | null
}): KnownPart {
  return {
    session: row.session_id,
    part: row.part,
    shipped: {
      position: row.shipped,
      segments: row.segments,
      bytes: Number(row.bytes),
      head: row.head,
      previous: row.previous,
    },
    anchors:
      row.anchor_first === null || row.anchor_last === null
        ? undefined
        : { first: row.anchor_first, last: row.anchor_last },
    problems: row.problems,
    isSealed: row.sealed_at !== null,
  }
}
