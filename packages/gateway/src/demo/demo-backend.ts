import {
  frame,
  frameBody,
  frames,
  frameType,
  prefixName,
  queryFrame,
  rowValues,
} from './demo-frames.ts'

/** Runs whole messages on the one backend and returns its whole answer. */
export type Exec = (messages: Buffer) => Promise<Buffer>

/** What the backend keeps for one session. */
export interface BackendSession {
  readonly id: number
  /** Names of its prepared statements, as the backend knows them. */
  readonly statements: Set<string>
  /** Settings it changed, saved when another session takes its turn. */
  settings: readonly (readonly [name: string, value: string])[]
  maySet: boolean
}

interface Job {
  readonly session: BackendSession
  readonly run: () => Promise<void>
  /** Ends the wait of a session that is gone. */
  readonly cancel: () => void
}

const sync = frame('S')
const copyFail = frame(
  'f',
  Buffer.from('the demo takes COPY data with the statement that asks for it\0'),
)

/**
 * Shares one backend among sessions. They take turns by groups of messages; a session inside a transaction, a COPY or
 * an unfinished pipeline keeps its turn. Settings and prepared statements are kept apart; temporary tables are not.
 */
export class DemoBackend {
  readonly #exec: Exec
  #queue: Job[] = []
  #running = false
  #owner: BackendSession | undefined
  #last: BackendSession | undefined
  #status = 'I'
  readonly #sessions = new Set<BackendSession>()
  #nextId = 1

  constructor(exec: Exec) {
    this.#exec = exec
  }

  open(): BackendSession {
    const session = {
      id: this.#nextId++,
      statements: new Set<string>(),
      settings: [],
      maySet: false,
    }
    this.#sessions.add(session)
    return session
  }

  /** Runs one group. The answer ends in ReadyForQuery where the group asked for it. */
  run(session: BackendSession, group: readonly Buffer[]): Promise<Buffer> {
    return this.#turn(session, async () => {
      const named = this.#adopt(session, group)
      // The backend would wait for COPY data for ever, and with it everybody. Where no COPY runs, it ignores the message.
      let answer = await this.#send([...named, copyFail])
      if (hasType(answer, 'G') && frameType(group.at(-1) ?? sync) === 'S' && !hasType(answer, 'Z'))
        answer = Buffer.concat([answer, await this.#send([sync])])
      return answer
    })
  }

  /**
   * Runs a group that may begin a COPY from the caller, without data, and undoes it. Returns the answer up to
   * CopyInResponse, or undefined where the group begins no COPY: it has not run then.
   */
  probeCopy(session: BackendSession, group: readonly Buffer[]): Promise<Buffer | undefined> {
    return this.#turn(session, async () => {
      if (this.#status === 'E') return undefined
      const inside = this.#status === 'T'
      if (inside) await this.#send([queryFrame('savepoint sallyport_demo_copy')])
      const answer = await this.#send([...this.#adopt(session, group), copyFail, sync])
      const closes = this.#closeNames(session, group)
      await this.#send([
        queryFrame(inside ? 'rollback to savepoint sallyport_demo_copy' : 'rollback'),
        ...closes,
        sync,
      ])
      if (inside) await this.#send([queryFrame('release savepoint sallyport_demo_copy')])
      const head = untilCopyIn(answer)
      if (head !== undefined) this.#owner = session
      return head
    })
  }

  /** Runs a COPY with all its data. Returns the answer after CopyInResponse, which the probe returned already. */
  runCopy(
    session: BackendSession,
    group: readonly Buffer[],
    data: readonly Buffer[],
  ): Promise<Buffer> {
    return this.#turn(session, async () => {
      const answer = await this.#send([...this.#adopt(session, group), ...data, copyFail])
      return answer.subarray(untilCopyIn(answer)?.length ?? 0)
    })
  }

  /** Forgets a session: what it had not committed is rolled back, what it prepared is closed. */
  async close(session: BackendSession): Promise<void> {
    if (!this.#sessions.delete(session)) return
    const gone = this.#queue.filter((job) => job.session === session)
    this.#queue = this.#queue.filter((job) => job.session !== session)
    for (const job of gone) job.cancel()
    await this.#turn(session, async () => {
      if (this.#owner === session) await this.#send([sync, queryFrame('rollback')])
      const closes = [...session.statements].map(closeStatement)
      await this.#send([...closes, sync])
      if (this.#sessions.size === 0) await this.#send([queryFrame('discard all')])
      this.#owner = undefined
    })
  }

  #turn<T>(session: BackendSession, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = async (): Promise<void> => {
        try {
          await this.#enter(session)
          resolve(await work())
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      }
      const cancel = (): void => reject(new Error('the session ended while it waited'))
      this.#queue.push({ session, run, cancel })
      void this.#pump()
    })
  }

  async #pump(): Promise<void> {
    if (this.#running) return
    this.#running = true
    for (let job = this.#take(); job !== undefined; job = this.#take()) await job.run()
    this.#running = false
  }

  #take(): Job | undefined {
    const at = this.#queue.findIndex(
      (job) => this.#owner === undefined || job.session === this.#owner,
    )
    return at < 0 ? undefined : this.#queue.splice(at, 1)[0]
  }

  /** Puts a session's settings in place of those of the session before it. */
  async #enter(session: BackendSession): Promise<void> {
    const before = this.#last
    this.#last = session
    if (before === undefined || before === session) return
    if (!before.maySet && !session.maySet) return
    if (before.maySet) before.settings = await this.#changedSettings()
    const restore = session.settings.map(
      ([name, value]) => `set_config(${quote(name)}, ${quote(value)}, false)`,
    )
    await this.#send([queryFrame('reset all')])
    if (restore.length > 0) await this.#send([queryFrame(`select ${restore.join(', ')}`)])
  }

  async #changedSettings(): Promise<[string, string][]> {
    const answer = await this.#send([
      queryFrame(`select name, current_setting(name) from pg_settings where source = 'session'`),
    ])
    return frames(answer)
      .filter((message) => frameType(message) === 'D')
      .map((message) => rowValues(message))
      .map(([name, value]) => [name ?? '', value ?? ''])
  }

  #adopt(session: BackendSession, group: readonly Buffer[]): Buffer[] {
    session.maySet ||= group.some((message) => /set/i.test(textOf(message)))
    return group.map((message) => {
      const named = prefixName(message, `s${session.id}_`)
      if (frameType(named) === 'P' && named !== message) session.statements.add(parseName(named))
      return named
    })
  }

  #closeNames(session: BackendSession, group: readonly Buffer[]): Buffer[] {
    const names = group
      .filter((message) => frameType(message) === 'P' && frameBody(message)[0] !== 0)
      .map((message) => parseName(prefixName(message, `s${session.id}_`)))
    return names.map(closeStatement)
  }

  async #send(messages: readonly Buffer[]): Promise<Buffer> {
    const answer = await this.#exec(Buffer.concat(messages))
    const last = frames(answer).at(-1)
    const ready = last !== undefined && frameType(last) === 'Z'
    this.#status = ready ? String.fromCharCode(frameBody(last)[0] ?? 0) : 'P'
    this.#owner = this.#status === 'I' ? undefined : this.#last
    return answer
  }
}

function hasType(answer: Buffer, type: string): boolean {
  return frames(answer).some((message) => frameType(message) === type)
}

function untilCopyIn(answer: Buffer): Buffer | undefined {
  let end = 0
  for (const message of frames(answer)) {
    end += message.length
    if (frameType(message) === 'G') return answer.subarray(0, end)
  }
  return undefined
}

function closeStatement(name: string): Buffer {
  return frame('C', Buffer.from(`S${name}\0`))
}

function parseName(message: Buffer): string {
  const body = frameBody(message)
  return body.toString('utf8', 0, body.indexOf(0))
}

function textOf(message: Buffer): string {
  const type = frameType(message)
  return type === 'Q' || type === 'P' ? message.toString('utf8', 5) : ''
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
