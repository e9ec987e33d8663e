import type { Secret } from './values.ts'

/** A planted value that was found, and how it was dressed. */
export interface Leak {
  readonly origin: string
  readonly form: string
  readonly text: string
  /** What stands around it. */
  readonly context: string
}

interface Needle {
  readonly bytes: Buffer
  readonly secret: Secret
  readonly form: string
}

/** Finds planted values in what a caller got: as they are, backwards, cut in halves, in other cases, encoded, in binary. */
export class SecretScanner {
  /** By their first four bytes. */
  readonly #needles = new Map<number, Needle[]>()

  constructor(secrets: readonly Secret[]) {
    for (const secret of secrets) for (const needle of needlesOf(secret)) this.#add(needle)
  }

  /** The first of each form of each value, in `bytes`. */
  find(bytes: Buffer): Leak[] {
    const found = new Map<Needle, Leak>()
    let word = 0
    for (let at = 0; at < bytes.length; at += 1) {
      word = ((word << 8) | (bytes[at] ?? 0)) >>> 0
      if (at < 3) continue
      for (const needle of this.#needles.get(word) ?? []) {
        const start = at - 3
        const isThere = bytes.subarray(start, start + needle.bytes.length).equals(needle.bytes)
        if (isThere && !isInDecisionId(bytes, start))
          found.set(needle, {
            context: bytes.toString('latin1', Math.max(0, start - 60), at + 60),
            origin: needle.secret.origin,
            form: needle.form,
            text: needle.secret.text,
          })
      }
    }
    return [...found.values()]
  }

  #add(needle: Needle): void {
    const key = needle.bytes.readUInt32BE(0)
    const list = this.#needles.get(key)
    if (list === undefined) this.#needles.set(key, [needle])
    else list.push(needle)
  }
}

/** Refusals name a decision by a random word, in which five letters of a value turn up once in some ten thousand statements. */
function isInDecisionId(bytes: Buffer, at: number): boolean {
  return /explain d_[0-9a-z]{0,13}$/.test(bytes.toString('latin1', Math.max(0, at - 24), at))
}

/** Shorter pieces turn up by chance, in object ids, times and process ids. */
const pieceBytesMin = 5
const digitsMin = 7

function needlesOf(secret: Secret): Needle[] {
  const forms = new Map<string, Buffer>()
  const text = (form: string, value: string): void => {
    const isNumber = /^[0-9.,-]+$/.test(value)
    if (value.length >= (isNumber ? digitsMin : pieceBytesMin)) forms.set(form, Buffer.from(value))
  }
  const value = secret.text
  text('as it is', value)
  text('backwards', Array.from(value).toReversed().join(''))
  text('upper case', value.toUpperCase())
  text('lower case', value.toLowerCase())
  text('title case', value.charAt(0).toUpperCase() + value.slice(1))
  const middle = Math.ceil(value.length / 2)
  text('first half', value.slice(0, middle))
  text('second half', value.slice(middle))
  const bytes = Buffer.from(value)
  text('hex', bytes.toString('hex'))
  text('upper-case hex', bytes.toString('hex').toUpperCase())
  for (const skip of [0, 1, 2]) {
    // Base64 looks different at each of three offsets; the ends depend on what stands beside.
    const padded = Buffer.concat([Buffer.alloc(skip), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    text(`base64 at offset ${skip}`, padded.slice(skip === 0 ? 0 : skip + 1, -1))
  }
  for (const [form, dressed] of [...numberForms(value), ...dateForms(value)]) text(form, dressed)
  for (const [form, raw] of binaryForms(value))
    if (raw.length >= pieceBytesMin) forms.set(form, raw)
  return [...forms].map(([form, raw]) => ({ bytes: raw, secret, form }))
}

function numberForms(value: string): [form: string, text: string][] {
  if (!/^[0-9]+(\.[0-9]+)?$/.test(value)) return []
  const [whole = '', rest = ''] = value.split('.')
  const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, ',')
  const digits = (whole + rest).replace(/^0+/, '').replace(/0+$/, '')
  const forms: [string, string][] = [
    ['grouped', grouped],
    ['digits alone', whole + rest],
    ['with an exponent', `${digits.charAt(0)}.${digits.slice(1)}`],
    ['whole part', whole],
  ]
  if (rest === '')
    forms.push(['hexadecimal', BigInt(whole).toString(16)], ['octal', BigInt(whole).toString(8)])
  return forms
}

function dateForms(value: string): [form: string, text: string][] {
  const [, year, month, day] = /^(1[678]\d\d)-(\d\d)-(\d\d)/.exec(value) ?? []
  if (year === undefined) return []
  return [
    ['ISO date', `${year}-${month}-${day}`],
    ['German date', `${day}.${month}.${year}`],
    ['American date', `${month}/${day}/${year}`],
    ['date of old', `${month}-${day}-${year}`],
    ['date without separators', `${year}${month}${day}`],
  ]
}

function binaryForms(value: string): [form: string, bytes: Buffer][] {
  if (/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/.test(value))
    return [
      ['binary uuid', Buffer.from(value.replaceAll('-', ''), 'hex')],
      ['uuid without dashes', Buffer.from(value.replaceAll('-', ''))],
    ]
  if (/^[1-9][0-9]{9,17}$/.test(value)) {
    const integer = Buffer.alloc(8)
    integer.writeBigInt64BE(BigInt(value))
    return [['binary integer', integer.subarray(integer.findIndex((byte) => byte > 0))]]
  }
  return []
}
