import { join } from 'node:path'
import { gatewayBy } from '../../ledger/ledger.ts'
import type { Parts } from '../../parts.ts'
import type { Approvals } from '../approvals.ts'
import type { ChatLinks } from './people/chat-links.ts'
import type { KnownPeople } from './people/known-people.ts'
import { Channels } from './channels.ts'

/** What waits for an approval is told from here on. */
export async function openChannels(
  parts: Parts & {
    readonly approvals: Approvals
    readonly people: KnownPeople
    readonly links: ChatLinks
  },
  gatewayUrl: () => string,
  undo: AsyncDisposableStack,
): Promise<Channels> {
  const { options, store, ledger, snapshots, approvals, people, links, fault } = parts
  const channels = await Channels.open({
    dir: options.channels ?? join(options.dataDir, 'channels'),
    store,
    ledger,
    approvals,
    people,
    links,
    gatewayUrl,
    urlOf: (id) => {
      const base = snapshots.approvalUrl()
      return base === undefined ? undefined : `${base}${id}`
    },
    now: () => Date.now(),
    onConfig: (problems) => {
      const detail = problems === '' ? {} : { problem: problems }
      const actor = gatewayBy('channels')
      void ledger.write({ what: 'channels.read', actor, subject: 'channels', detail })
      options.onEvent({ kind: 'channels.read', problems })
    },
    onFault: fault,
  })
  undo.defer(async () => await channels.close())
  return channels
}
