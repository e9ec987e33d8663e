import { SallyportError } from '@sallyport/core'
import { sessionKeyOf, type RecordingSources } from '../recordings.ts'
import type { AnchorRange } from '../shipping/recorded-part.ts'
import type { ShippedParts } from '../shipping/shipped-parts.ts'
import type { Shipper } from '../shipping/shipper.ts'
import { exportZip, type ExportRequest } from './export-zip.ts'

/** Makes exports: what is recorded of a session up to now is shipped and anchored first, so that it can be proven. */
export class Exporter {
  readonly #sources: RecordingSources
  readonly #parts: ShippedParts
  readonly #shipper: Shipper

  constructor(sources: RecordingSources, parts: ShippedParts, shipper: Shipper) {
    this.#sources = sources
    this.#parts = parts
    this.#shipper = shipper
  }

  /** An archive of these sessions, by their whole ids. Throws SP_NOT_FOUND where nothing of one is recorded. */
  async sessions(ids: readonly string[]): Promise<AsyncGenerator<Uint8Array>> {
    return exportZip(await this.prepare(ids))
  }

  /** Of these sessions, those that are recorded and whose keys are there. */
  async exportable(ids: readonly string[]): Promise<string[]> {
    await this.#shipper.settle(ids)
    const { recordings, recordingKey } = this.#sources
    const found: string[] = []
    for (const id of ids) {
      if ((await this.#parts.ofSession(id)).length === 0) continue
      if ((await sessionKeyOf(recordings, recordingKey, id)) !== undefined) found.push(id)
    }
    return found
  }

  /** What an archive of these sessions is made of. Throws as `sessions` does. */
  async prepare(ids: readonly string[]): Promise<ExportRequest> {
    await this.#shipper.settle(ids)
    let anchors: AnchorRange | undefined
    for (const id of ids) {
      const parts = await this.#parts.ofSession(id)
      if (parts.length === 0)
        throw new SallyportError('SP_NOT_FOUND', `there is no recording of a session "${id}"`)
      for (const { anchors: range } of parts) anchors = hull(anchors, range)
    }
    return { sources: this.#sources, sessions: ids, anchors, exportedAt: new Date() }
  }
}

function hull(a: AnchorRange | undefined, b: AnchorRange | undefined): AnchorRange | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return { first: Math.min(a.first, b.first), last: Math.max(a.last, b.last) }
}
