import type { Secret } from '@sallyport/core'

/** What an export of events tells beyond the usual. */
export interface EventWishes {
  /** The texts of commands, as they were sent: with the literals in them. */
  readonly withText: boolean
}

/** Events to a receiver over HTTP, signed. */
export interface WebhookExport extends EventWishes {
  readonly name: string
  readonly type: 'webhook'
  readonly url: string
  /** Signs each request. */
  readonly secret: Secret<string>
  /** The value of an `Authorization` header. */
  readonly authorization?: Secret<string>
}

/** Events to a file of this machine. */
export interface FileExport extends EventWishes {
  readonly name: string
  readonly type: 'file'
  readonly path: string
  /** A file that is larger gets a name of its own, and a new one is begun. */
  readonly rotateBytes: number
}

/** Events to the gateway's standard output. */
export interface StdoutExport extends EventWishes {
  readonly name: string
  readonly type: 'stdout'
}

/** Spans to a collector, over OTLP with JSON. */
export interface TraceExport extends EventWishes {
  readonly name: string
  readonly type: 'otlp'
  readonly url: string
  /** The value of an `Authorization` header. */
  readonly authorization?: Secret<string>
}

export type EventExport = WebhookExport | FileExport | StdoutExport

/** One export, by its name. */
export type ExportConfig = EventExport | TraceExport
