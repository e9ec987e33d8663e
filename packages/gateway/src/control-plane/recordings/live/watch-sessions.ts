import { SallyportError } from '@sallyport/core'
import type { SessionIndex } from '../../session-index.ts'
import type { LiveSessions } from './live-sessions.ts'
import type { ViewForm } from './live-view.ts'

/** What is recorded from now on, as lines. A session may be named by the beginning of its id; one that is over can't be watched. */
export async function watchSessions(
  live: LiveSessions,
  sessions: SessionIndex,
  of: string,
  form: ViewForm,
): Promise<AsyncIterable<string>> {
  const isSession = /^s_[0-9a-z]*$/iu.test(of)
  if (!isSession) return await live.watch(of, form)
  const id = await sessions.whole(of.toLowerCase())
  const view = await live.watch(id, form)
  if (live.isOpen(id)) return view
  await view[Symbol.asyncIterator]().return?.()
  const detail = `no session "${of}" is open. One that is over is replayed: sallyport replay ${of}`
  throw new SallyportError('SP_NOT_FOUND', detail, { detail })
}
