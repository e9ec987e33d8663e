// Appends commands until it is killed, and prints each id once its entry is stored. Started by journal.test.ts.
import { Buffer } from 'node:buffer'
import { writeSync } from 'node:fs'
import type { CommandId, DecisionId, SessionId } from '@sallyport/core'
import { Journal } from './journal.ts'

const [, , dir = '', round = ''] = process.argv
const journal = await Journal.open(
  {
    dir,
    durability: 'auto',
    minFreeBytes: 0,
    maxBytes: 1e12,
    recordingKey: Buffer.alloc(32, 9).toString('base64'),
  },
  1,
  { now: Date.now, onFault: () => undefined, rotateBytes: 20_000 },
)
const session = journal.openSession({
  session: `s_${round}` as SessionId,
  connection: 'shop',
  database: 'shop',
  credential: 'cr_1',
  chain: [],
  level: 2,
  application: '',
  source: '',
  tls: false,
})

async function lane(number: number): Promise<void> {
  for (let n = 0; ; n += 1) {
    const stored = await session.command(
      {
        id: `c_${round}_${number}_${n}` as CommandId,
        decision: 'd_1' as DecisionId,
        effect: 'allow',
        rules: [],
        class: 'read',
        verb: 'select',
        objects: [],
        text: Buffer.from('select 1'),
        parameters: [],
        formats: [],
        policyVersion: 1,
        unit: 'query',
      },
      n % 4 === 0 ? 'write' : 'read',
    )
    writeSync(1, `${stored.commandId}\n`)
    session.note({ kind: 'response.data', seq: stored.seq, bytes: Buffer.alloc(n % 3000) })
  }
}

await Promise.all([1, 2, 3].map(lane))
