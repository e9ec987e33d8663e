/** The two contents of the shop's masked columns. Everything else is the same in both. */
export type WorldName = 'a' | 'b'

/** One planted value: where it stands, and as the server prints it. */
export interface Secret {
  readonly origin: string
  readonly text: string
}

/** The statements that fill one world, and the values that must not leave it. */
export interface World {
  readonly statements: readonly string[]
  readonly secrets: readonly Secret[]
}

const peopleCount = 8
/** The last person has no masked value at all, in both worlds: that a value is null may be seen. */
const isNull = (row: number): boolean => row === peopleCount - 1

export function makeWorld(world: WorldName): World {
  const secrets: Secret[] = []
  const plant = (origin: string, text: string): string => {
    secrets.push({ origin, text })
    return quote(text)
  }
  const statements = [
    ...people(world, plant),
    ...orders(world, plant),
    ...visits(world, plant),
    ...contacts(world, plant),
    `insert into notes values (1, 'first'), (2, 'second')`,
    `insert into secret_notes values (3, ${plant('secret_notes.body', wordOf(`${world} note`, 12))})`,
    `insert into badges select g, g, (array['red','green','blue'])[1 + g % 3], case when g % 4 > 0 then 'tin' end
       from generate_series(1, 6) g`,
    `insert into items select 'SKU' || g, 'thing ' || g, g * 1.75, g * 10 from generate_series(1, 8) g`,
    `insert into scratch values (1, 'one', 1.5, '{"a": 1}'), (2, 'two', 2.5, '{"b": [1, 2]}'), (3, null, null, null)`,
    'refresh materialized view m_people',
    'analyze',
  ]
  return { statements, secrets }
}

type Plant = (origin: string, text: string) => string

function people(world: WorldName, plant: Plant): string[] {
  return Array.from({ length: peopleCount }, (_, row) => {
    const clean = [
      row + 1,
      quote(`name ${row + 1}`),
      quote(['Bern', 'Cork', 'Oslo'][row % 3] ?? ''),
      quote(['calm', 'merry', 'grim'][row % 3] ?? ''),
      quote(`2020-0${(row % 8) + 1}-11`),
      (row * 7) % 5,
    ]
    const at = (column: string): string => `people.${column} of row ${row + 1}`
    const n = (key: string, digits: number): string =>
      digitsOf(`${world} people ${key} ${row}`, digits)
    const w = (key: string, length: number): string =>
      wordOf(`${world} people ${key} ${row}`, length)
    // Lengths differ between the worlds too, and rows sort differently by every masked column.
    const more = world === 'a' ? row % 2 : (row + 1) % 3
    const host = plant(at('mail_host'), `${w('host', 9 + more)}.test`).slice(1, -1)
    const masked = isNull(row)
      ? Array.from({ length: 13 }, () => 'null')
      : [
          plant(at('email'), `${w('email', 10 + more)}@${host}`),
          plant(at('ssn'), `${n('ssn', 3)}-${n('ssn2', 4)}-${n('ssn3', 5)}`),
          plant(at('salary'), n('salary', 13 + more)),
          plant(at('bonus'), `${n('bonus', 11 + more)}.${n('cents', 4)}`),
          plant(at('born'), dateOf(`${world} born ${row}`)),
          plant(at('seen'), `${dateOf(`${world} seen ${row}`)} 0${row}:17:3${row % 10}+00`),
          plant(at('diagnosis'), w('diagnosis', 12 + more)),
          `jsonb_build_object('pin', ${plant(at('profile'), w('pin', 11 + more))}, 'level', ${n('level', 6)}, 'on', ${row % 2 === (world === 'a' ? 0 : 1)})`,
          `array[${plant(at('labels'), w('label', 10 + more))}, ${plant(at('labels'), w('label2', 11))}]`,
          `convert_to(${plant(at('photo'), w('photo', 12 + more))}, 'UTF8')`,
          `${plant(at('device'), uuidOf(`${world} device ${row}`))}::uuid`,
          String(world === 'a' ? row % 3 === 0 : row % 4 > 0),
          plant(at('ratio'), `0.${n('ratio', 12)}`),
        ]
    return `insert into people values (${[...clean, ...masked].join(', ')})`
  })
}

function orders(world: WorldName, plant: Plant): string[] {
  return Array.from({ length: 12 }, (_, row) => {
    const card = `4${digitsOf(`${world} card ${row}`, 15)}`
    const at = (column: string): string => `orders.${column} of row ${row + 1}`
    const masked =
      row === 11
        ? 'null, null'
        : `${plant(at('card'), card)}, ${plant(at('cvv'), digitsOf(`${world} cvv ${row}`, 9))}`
    const fields = `${row + 1}, ${(row % 7) + 1}, 'SKU${(row % 8) + 1}', ${row * 3.5}, '2023-0${(row % 9) + 1}-05'`
    return `insert into orders values (${fields}, ${masked})`
  }).concat("delete from scratch where body is distinct from ''")
}

function visits(world: WorldName, plant: Plant): string[] {
  return Array.from({ length: 6 }, (_, row) => {
    const at = (column: string): string => `visits.${column} of row ${row + 1}`
    const finding = plant(at('finding'), wordOf(`${world} finding ${row}`, 13 + (row % 2)))
    const cost = plant(at('cost'), digitsOf(`${world} cost ${row}`, 14))
    return `insert into visits values (${row + 1}, ${row + 1}, '202${3 + (row % 2)}-03-0${row + 1}', 'room ${row % 3}', ${finding}, ${cost})`
  })
}

function contacts(world: WorldName, plant: Plant): string[] {
  const phone = (row: number): string =>
    plant(`contacts.phone of row ${row}`, `+${digitsOf(`${world} phone ${row}`, 12)}`)
  return [1, 2, 3, 4].map((row) =>
    row < 3
      ? `insert into contacts values (${row}, 'label ${row}', ${phone(row)})`
      : `insert into vip_contacts values (${row}, 'label ${row}', ${phone(row)}, ${row})`,
  )
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** Letters without meaning: no detector has a pattern for them. */
function wordOf(key: string, length: number): string {
  const letter = (_: unknown, at: number): string =>
    String.fromCharCode(97 + (hash(`${key} ${at}`) % 26))
  return Array.from({ length }, letter).join('')
}

function digitsOf(key: string, length: number): string {
  let digits = ''
  for (let at = 0; digits.length < length; at += 1) digits += String(hash(`${key} ${at}`))
  return `${1 + (hash(key) % 9)}${digits}`.slice(0, length)
}

/** A day that no other column and no clock will ever say. */
function dateOf(key: string): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${1613 + (hash(`${key} y`) % 280)}-${two(1 + (hash(`${key} m`) % 12))}-${two(1 + (hash(`${key} d`) % 28))}`
}

function uuidOf(key: string): string {
  const hex = [0, 1, 2, 3].map((at) => hash(`${key} ${at}`).toString(16).padStart(8, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** FNV-1a with a final mix. Not for security: it only has to spread. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (const character of text)
    value = Math.imul(value ^ (character.codePointAt(0) ?? 0), 0x01000193)
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d)
  value = Math.imul(value ^ (value >>> 13), 0x297a2d39)
  return (value ^ (value >>> 16)) >>> 0
}
