import { Buffer } from 'node:buffer'
import type { CommandId, DecisionId, SessionId } from '@sallyport/core'
import type { CommandFields } from './session-journal.ts'

/** A session for tests of the journal. */
export const opened = {
  session: 's_1' as SessionId,
  connection: 'shop',
  database: 'shop',
  credential: 'cr_1',
  chain: [{ id: 'a_1', name: 'dana' }],
  level: 2,
  application: 'psql',
  source: '127.0.0.1',
  tls: true,
}

/** A command of it. */
export function fields(id: string): CommandFields {
  return {
    id: id as CommandId,
    decision: 'd_1' as DecisionId,
    effect: 'allow',
    rules: [],
    class: 'read',
    verb: 'select',
    objects: [['shop', 'orders']],
    text: Buffer.from('select 1'),
    parameters: [],
    formats: [],
    policyVersion: 1,
    unit: 'query',
  }
}
