import type { Notice } from '../channel.ts'

/** CloudEvents 1.0.2, section 3.1: the attributes that are used, and the data. */
export interface CloudEvent {
  readonly specversion: '1.0'
  readonly id: string
  readonly source: string
  readonly type: string
  readonly subject: string
  readonly time: string
  readonly datacontenttype: 'application/json'
  readonly data: unknown
}

/** JSON Event Format 1.0.2, section 3. */
export const cloudEventType = 'application/cloudevents+json; charset=utf-8'

/** What happened, as an event. The same notice has the same id. `callback` is where answers are taken, if they are. */
export function cloudEventOf(
  { id, kind, tree, begunAtMs, count, approvals }: Notice,
  source: string,
  callback?: string,
): CloudEvent {
  const [only] = approvals
  return {
    specversion: '1.0',
    id,
    source,
    type: `dev.sallyport.approval.${kind}`,
    subject: count === 1 && only !== undefined ? only.id : tree,
    time: new Date(begunAtMs).toISOString(),
    datacontenttype: 'application/json',
    data: { count, tree, approvals, ...(callback === undefined ? {} : { callback }) },
  }
}

/** An event that says that it is a test. */
export function testCloudEvent(channel: string, source: string, nowMs: number): CloudEvent {
  return {
    specversion: '1.0',
    id: `${channel}-test-${nowMs}`,
    source,
    type: 'dev.sallyport.channel.test',
    subject: channel,
    time: new Date(nowMs).toISOString(),
    datacontenttype: 'application/json',
    data: { test: true },
  }
}
