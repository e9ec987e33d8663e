import { hostname } from 'node:os'
import type { ControlPlaneOptions } from '../control-plane-options.ts'
import type { DataKeys } from '../keys/data-keys.ts'
import { journalSpaceDefault } from '../recordings/journal-space.ts'
import { gatewayVersion } from '../version.ts'
import { JournalLedger } from './journal-ledger.ts'
import { gatewayBy } from './ledger.ts'

const mebibyte = 1024 * 1024
/** Less than workers keep free: who has to make room must be able to act. */
const minFreeShare = 0.125
/** Of files that are not in the store yet: more than a year of a busy gateway. */
const maxBytes = 1024 * mebibyte

/** Begins the ledger of this run, before anything else acts. */
export async function openLedger(
  {
    parts,
    durability,
    journal: bounds,
  }: Pick<ControlPlaneOptions, 'parts' | 'durability' | 'journal'>,
  of: {
    readonly keys: DataKeys
    readonly journalDir: string
    readonly owner: string
    /** Of the store. */
    readonly storage: string
    readonly onFault: (error: unknown) => void
  },
): Promise<JournalLedger> {
  const { minFreeBytes: workersLeave } = bounds ?? journalSpaceDefault
  const minFreeBytes = Math.floor(workersLeave * minFreeShare)
  const now = (): number => Date.now()
  const recordingKey = of.keys.recording.expose().toString('base64')
  const journal = await parts.openLedgerJournal(
    { dir: of.journalDir, durability, minFreeBytes, maxBytes, recordingKey },
    { application: `sallyport ${gatewayVersion}`, node: hostname(), owner: of.owner },
    { now },
  )
  const ledger = new JournalLedger({ journal, now, onFault: of.onFault })
  await ledger.write({
    what: 'gateway.started',
    actor: gatewayBy(),
    subject: hostname(),
    detail: { version: gatewayVersion, storage: of.storage, durability, pid: process.pid },
  })
  return ledger
}
