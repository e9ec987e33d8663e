import { createHash, createHmac } from 'node:crypto'
import { scramVerifier } from '@sallyport/core'

/** PostgreSQL cuts longer names. */
const nameBytesMax = 63
const idDigits = 8
const digestDigits = 12
const saltBytes = 16
const iterations = 4096

/** Names and passwords of what one connection's guard has at its target. All follow from the gateway's key, so nothing is stored. */
export class GuardNames {
  /** Eight hexadecimal digits: another gateway before the same server has others. */
  readonly id: string
  readonly #connection: string
  readonly #key: Buffer

  constructor(key: Buffer, connection: string) {
    this.#key = key
    this.#connection = connection
    this.id = this.#derive('name').toString('hex').slice(0, idDigits)
  }

  /** What every schema and role of this guard begins with. */
  get prefix(): string {
    return `sallyport_${this.id}`
  }

  /** The schema that no guarded role can look into. */
  get privateSchema(): string {
    return this.prefix
  }

  /** Owns the masks and may read what they hide. Nobody can log in as it. */
  get owner(): string {
    return `${this.prefix}_owner`
  }

  /** Owns the views over masks, and can read no more than callers. Nobody can log in as it. */
  reader(set: string): string {
    return `${this.prefix}_${set}_reader`
  }

  /** What the gateway logs in as. */
  login(set: string): string {
    return `${this.prefix}_${set}`
  }

  /** The schema that stands before `schema` on the search path. */
  schema(set: string, schema: string): string {
    const name = `${this.prefix}_${set}_${schema}`
    if (Buffer.byteLength(name) <= nameBytesMax) return name
    const digest = createHash('sha256').update(schema).digest('hex').slice(0, digestDigits)
    return `${this.prefix}_${set}_${digest}`
  }

  password(set: string): string {
    return this.#derive(`password ${set}`).toString('base64url')
  }

  /** As PostgreSQL stores it: whoever reads it in a plan or a log can't log in with it (RFC 5802 section 3). */
  async storedPassword(set: string): Promise<string> {
    const salt = this.#derive(`salt ${set}`).subarray(0, saltBytes)
    const verifier = await scramVerifier(this.password(set), salt, iterations)
    return `SCRAM-SHA-256$${iterations}:${verifier.salt}$${verifier.storedKey}:${verifier.serverKey}`
  }

  #derive(part: string): Buffer {
    return createHmac('sha256', this.#key).update(`guard ${part}\0${this.#connection}`).digest()
  }
}
