import { ERRORS, type ErrorCode } from '@sallyport/core'

/** The one message that the broker itself ever says to a database client: why there is no session (ErrorResponse, FATAL). */
export function refusalMessage(code: ErrorCode, detail: string | undefined): Buffer {
  const { sqlState, say } = ERRORS[code]
  const fields = ['SFATAL', 'VFATAL', `C${sqlState}`, `MSallyport: ${say}`]
  if (detail !== undefined) fields.push(`D${detail}`)
  fields.push(`R${code}`)
  const body = Buffer.from(`${fields.map((field) => `${field.replaceAll('\0', '')}\0`).join('')}\0`)
  const message = Buffer.alloc(5 + body.length)
  message.write('E', 'latin1')
  message.writeInt32BE(4 + body.length, 1)
  body.copy(message, 5)
  return message
}
