import { userInfo } from 'node:os'
import { playDemoStory } from './demo/demo-story.ts'
import { storyTeller } from './demo-teller.ts'
import { openLedgerJournal } from './data-plane/journal/ledger-journal.ts'
import { startDemoTarget } from './demo/demo-target.ts'
import { type ControlPlane, startControlPlane } from './control-plane/control-plane.ts'
import type { ControlPlaneOptions } from './control-plane/control-plane-options.ts'

/** What `startGateway` needs: everything that a control plane does, without the parts that it puts in itself. */
export type GatewayOptions = Omit<ControlPlaneOptions, 'parts'>

/** Starts the whole gateway: control plane in this process, one data-plane process per worker. */
export function startGateway(options: GatewayOptions): Promise<ControlPlane> {
  // The worker's file has the ending of this file: `.ts` from source, `.js` when compiled.
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return startControlPlane({
    ...options,
    parts: {
      workerEntry: new URL(`./data-plane/worker-main.${ending}`, import.meta.url),
      openLedgerJournal,
      startDemo: startDemoTarget,
    },
  })
}

/** Lets a tree of four agents work on the demo database, and tells of it line by line. Takes a second or two. */
export async function playDemo(gateway: ControlPlane, say: (line: string) => void): Promise<void> {
  await playDemoStory(storyTeller(gateway, userInfo().username), say)
}
