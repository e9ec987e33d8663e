import {
  BackendType,
  decodeErrorResponse,
  decodeRowDescription,
  frameBody,
  frameType,
} from '@sallyport/wire'

/** A refusal of the gateway's names its decision, which is never the same twice. */
const decisionId = /\b[a-z]_[0-9a-hjkmnp-tv-z]{13}\b/g

/** Each world is a database of its own, and some errors name it. */
const databaseName = /\b(?:stage|lane\d+|direct\d+)_(?:\d+|[ab])\b/g

/**
 * A message without what differs for reasons that no masked value has a part in: ids of decisions, names of databases, the process that sent a
 * notification, and object ids that a statement of the program itself has made, since the server counts them up for all
 * databases together. All else stays, byte for byte.
 */
export function canonical(frame: Buffer, knownOids: ReadonlySet<number>): string {
  switch (frameType(frame, 0)) {
    case BackendType.errorResponse:
    case BackendType.noticeResponse:
      return `${letterOf(frame)}${frameBody(frame, 0).toString('latin1').replaceAll(decisionId, 'd_').replaceAll(databaseName, 'shop')}`
    case BackendType.notificationResponse:
      return `${letterOf(frame)}${frameBody(frame, 0).toString('latin1', 4)}`
    case BackendType.rowDescription:
      return `${letterOf(frame)}${rowDescription(frameBody(frame, 0), knownOids)}`
    default:
      return frame.toString('latin1')
  }
}

function rowDescription(body: Buffer, knownOids: ReadonlySet<number>): string {
  const known = (oid: number): number => (oid === 0 || knownOids.has(oid) ? oid : -1)
  const { columns } = decodeRowDescription(body)
  return JSON.stringify(
    columns.map((column) => ({
      ...column,
      tableOid: known(column.tableOid),
      typeOid: known(column.typeOid),
    })),
  )
}

/** The gateway's own error code, where the message is a refusal of the gateway. */
export function refusalOf(frame: Buffer): string | undefined {
  if (frameType(frame, 0) !== BackendType.errorResponse) return undefined
  const code = decodeErrorResponse(frameBody(frame, 0)).fields.get('R') ?? ''
  return code.startsWith('SP_') ? code : undefined
}

function letterOf(frame: Buffer): string {
  return String.fromCharCode(frameType(frame, 0))
}
