import type { ByteReader } from './byte-reader.ts'
import type { ByteWriter } from './byte-writer.ts'
import {
  COMMAND_UNITS,
  FACT_ACTORS,
  HOLD_OUTCOMES,
  FACTS_ABOUT,
  RESPONSE_STATUSES,
  type AnsweredEntry,
  type CommandEntry,
  type CommandFacts,
  type Entry,
  type FactEntry,
  type ResponseEndEntry,
  type SessionOpenedEntry,
} from './entry.ts'
import type { CoarseClass } from '../command.ts'
import type { ErrorCode } from '../errors.ts'
import type { ApprovalId, CommandId, DecisionId, SessionId } from '../ids.ts'

const noBytes = new Uint8Array()
const VERDICT_EFFECTS = ['allow', 'approve', 'block'] as const

/** Writes the fields of an entry, without its kind. */
export function writeFields(out: ByteWriter, entry: Entry): void {
  switch (entry.kind) {
    case 'session.opened':
      return writeOpened(out, entry)
    case 'command':
      return writeCommand(out, entry)
    case 'response.data':
    case 'copy.data':
      out.count(entry.seq)
      return out.blob(entry.bytes)
    case 'response.end':
      return writeResponseEnd(out, entry)
    case 'masked':
      out.count(entry.seq)
      out.text(entry.rule)
      return out.count(entry.values)
    case 'refused':
      out.count(entry.seq)
      out.text(entry.code)
      return out.text(entry.message)
    case 'lineage':
      out.count(entry.seq)
      return out.text(entry.text)
    case 'cancelled':
      return out.count(entry.seq)
    case 'notice':
      return out.text(entry.text)
    case 'held':
      out.count(entry.seq)
      out.text(entry.approval)
      out.text(entry.wants)
      return out.count(entry.untilMs)
    case 'answered':
      return writeAnswered(out, entry)
    case 'session.closed':
      out.text(entry.reason)
      out.count(entry.commands)
      out.count(entry.blocked)
      return out.count(entry.maskedValues)
    case 'fact':
      return writeFact(out, entry)
    case 'facts':
      out.count(entry.number)
      out.u8(FACTS_ABOUT.indexOf(entry.about))
      return out.text(entry.json)
  }
}

/** Reads the fields that `writeFields` wrote for an entry of this kind. Throws a RangeError on anything else. */
export function readFields(from: ByteReader, kind: Entry['kind']): Entry {
  switch (kind) {
    case 'session.opened':
      return readOpened(from)
    case 'command':
      return readCommand(from)
    case 'response.data':
    case 'copy.data':
      return { kind, seq: from.count(), bytes: from.blob() }
    case 'response.end':
      return readResponseEnd(from)
    case 'masked':
      return { kind, seq: from.count(), rule: from.text(), values: from.count() }
    case 'refused':
      // The cast trusts the writer: the chain hash, not this function, proves who wrote it.
      return { kind, seq: from.count(), code: from.text() as ErrorCode, message: from.text() }
    case 'lineage':
      return { kind, seq: from.count(), text: from.text() }
    case 'cancelled':
      return { kind, seq: from.count() }
    case 'notice':
      return { kind, text: from.text() }
    case 'held':
      return {
        kind,
        seq: from.count(),
        approval: from.text() as ApprovalId,
        wants: from.text(),
        untilMs: from.count(),
      }
    case 'answered':
      return {
        kind,
        seq: from.count(),
        approval: from.text() as ApprovalId,
        outcome: from.oneOf(HOLD_OUTCOMES),
        by: from.list(() => from.text()),
        note: from.text(),
      }
    case 'session.closed':
      return {
        kind,
        reason: from.text(),
        commands: from.count(),
        blocked: from.count(),
        maskedValues: from.count(),
      }
    case 'fact':
      return readFact(from)
    case 'facts':
      return { kind, number: from.count(), about: from.oneOf(FACTS_ABOUT), json: from.text() }
  }
}

function writeAnswered(out: ByteWriter, entry: AnsweredEntry): void {
  out.count(entry.seq)
  out.text(entry.approval)
  out.u8(HOLD_OUTCOMES.indexOf(entry.outcome))
  out.count(entry.by.length)
  for (const name of entry.by) out.text(name)
  out.text(entry.note)
}

function writeOpened(out: ByteWriter, entry: SessionOpenedEntry): void {
  out.text(entry.session)
  out.count(entry.worker)
  out.text(entry.connection)
  out.text(entry.database)
  out.text(entry.credential)
  writeChain(out, entry.chain)
  out.count(entry.level)
  out.text(entry.application)
  out.text(entry.source)
  out.u8(entry.tls ? 1 : 0)
  out.blob(entry.wrappedKey)
}

function readOpened(from: ByteReader): SessionOpenedEntry {
  return {
    kind: 'session.opened',
    session: from.text() as SessionId,
    worker: from.count(),
    connection: from.text(),
    database: from.text(),
    credential: from.text(),
    chain: readChain(from),
    level: from.count(),
    application: from.text(),
    source: from.text(),
    tls: from.oneOf([false, true]),
    wrappedKey: from.blob(),
  }
}

function writeChain(out: ByteWriter, chain: SessionOpenedEntry['chain']): void {
  out.count(chain.length)
  for (const agent of chain) {
    out.text(agent.id)
    out.text(agent.name)
  }
}

function readChain(from: ByteReader): SessionOpenedEntry['chain'] {
  return from.list(() => ({ id: from.text(), name: from.text() }))
}

function writeFact(out: ByteWriter, entry: FactEntry): void {
  out.text(entry.what)
  out.u8(FACT_ACTORS.indexOf(entry.by))
  out.text(entry.actor)
  writeChain(out, entry.chain)
  out.text(entry.subject)
  out.text(entry.source)
  out.text(entry.detail)
}

function readFact(from: ByteReader): FactEntry {
  return {
    kind: 'fact',
    what: from.text(),
    by: from.oneOf(FACT_ACTORS),
    actor: from.text(),
    chain: readChain(from),
    subject: from.text(),
    source: from.text(),
    detail: from.text(),
  }
}

function writeCommand(out: ByteWriter, entry: CommandEntry): void {
  out.text(entry.id)
  out.count(entry.seq)
  out.text(entry.decision)
  out.u8(VERDICT_EFFECTS.indexOf(entry.effect))
  out.count(entry.rules.length)
  for (const rule of entry.rules) out.text(rule)
  out.text(entry.class)
  out.text(entry.verb)
  out.count(entry.objects.length)
  for (const object of entry.objects) {
    out.count(object.length)
    for (const part of object) out.text(part)
  }
  out.blob(entry.text)
  out.count(entry.parameters.length)
  for (const value of entry.parameters) writeParameter(out, value)
  out.count(entry.formats.length)
  for (const format of entry.formats) out.count(format)
  out.count(entry.policyVersion)
  out.u8(COMMAND_UNITS.indexOf(entry.unit))
  if (entry.facts !== undefined) writeCommandFacts(out, entry.facts)
}

function writeCommandFacts(out: ByteWriter, facts: CommandFacts): void {
  out.count(facts.session)
  out.count(facts.effects)
  out.u8(facts.inTransaction ? 1 : 0)
  out.count(facts.bytes)
  out.u8(facts.askedAtMs === undefined ? 0 : 1)
  if (facts.askedAtMs !== undefined) out.f64(facts.askedAtMs)
}

function readCommandFacts(from: ByteReader): CommandFacts {
  const facts = {
    session: from.count(),
    effects: from.count(),
    inTransaction: from.oneOf([false, true]),
    bytes: from.count(),
  }
  return from.oneOf([false, true]) ? { ...facts, askedAtMs: from.f64() } : facts
}

/** A byte tells null from a value, which may be empty. */
function writeParameter(out: ByteWriter, value: Uint8Array | null): void {
  out.u8(value === null ? 0 : 1)
  if (value !== null) out.blob(value)
}

function readParameter(from: ByteReader): Uint8Array | null {
  return from.oneOf([false, true]) ? from.blob() : null
}

function readCommand(from: ByteReader): CommandEntry {
  const entry: CommandEntry = {
    kind: 'command',
    id: from.text() as CommandId,
    seq: from.count(),
    decision: from.text() as DecisionId,
    effect: from.oneOf(VERDICT_EFFECTS),
    rules: from.list(() => from.text()),
    class: from.text() as CoarseClass,
    verb: from.text(),
    objects: from.list(() => from.list(() => from.text())),
    text: from.blob(),
    parameters: from.list(() => readParameter(from)),
    formats: from.list(() => from.count()),
    policyVersion: from.count(),
    unit: from.oneOf(COMMAND_UNITS),
  }
  // An entry of a gateway that kept no facts ends here.
  return from.done ? entry : { ...entry, facts: readCommandFacts(from) }
}

function writeResponseEnd(out: ByteWriter, entry: ResponseEndEntry): void {
  out.count(entry.seq)
  out.u8(RESPONSE_STATUSES.indexOf(entry.status))
  out.text(entry.tag)
  out.count(entry.rows)
  out.count(entry.bytes)
  out.text(entry.sqlState ?? '')
  out.blob(entry.data ?? noBytes)
}

function readResponseEnd(from: ByteReader): ResponseEndEntry {
  const entry = {
    kind: 'response.end',
    seq: from.count(),
    status: from.oneOf(RESPONSE_STATUSES),
    tag: from.text(),
    rows: from.count(),
    bytes: from.count(),
  } as const
  const sqlState = from.text()
  const data = from.blob()
  return {
    ...entry,
    ...(sqlState === '' ? {} : { sqlState }),
    ...(data.length === 0 ? {} : { data }),
  }
}
