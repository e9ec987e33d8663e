/** Types that the generator tells apart; each stands for one of PostgreSQL's. */
export type SqlType =
  | 'int'
  | 'big'
  | 'num'
  | 'float'
  | 'text'
  | 'bool'
  | 'date'
  | 'ts'
  | 'json'
  | 'texts'
  | 'bytes'
  | 'uuid'

export const sqlTypes: readonly SqlType[] = [
  'int',
  'text',
  'big',
  'num',
  'bool',
  'date',
  'json',
  'texts',
  'ts',
  'float',
  'bytes',
  'uuid',
]

export interface Column {
  readonly name: string
  readonly type: SqlType
}

export interface Relation {
  readonly name: string
  readonly columns: readonly Column[]
}

const people = columns(
  `id int, name text, city text, joined date, points int, email text, ssn text, salary big, bonus num, born date, seen ts,
   diagnosis text, profile json, labels texts, photo bytes, device uuid, vip bool, ratio float, mail_host text`,
)
const visits = columns('id int, person_id int, day date, room text, finding text, cost big')

/** What corpus/bypass/postgres/schema.sql makes. */
export const relations: readonly Relation[] = [
  { name: 'people', columns: people },
  {
    name: 'orders',
    columns: columns(
      'id int, person_id int, item text, amount num, placed date, card text, cvv int',
    ),
  },
  { name: 'badges', columns: columns('id int, person_id int, colour text, metal text') },
  { name: 'items', columns: columns('sku text, title text, price num, stock int') },
  { name: 'visits', columns: visits },
  { name: 'visits_2023', columns: visits },
  { name: 'contacts', columns: columns('id int, label text, phone text') },
  { name: 'vip_contacts', columns: columns('id int, label text, phone text, level int') },
  { name: 'notes', columns: columns('id int, body text') },
  { name: 'scratch', columns: columns('id int, body text, amount num, doc json') },
  { name: 'v_people', columns: people },
  { name: 'v_contact', columns: columns('id int, contact text') },
  { name: 'v_nested', columns: columns('loud text, id int') },
  { name: 'v_clean', columns: columns('id int, name text, city text, points int') },
  { name: 'v_top', columns: columns('city text, top big, heads big') },
  { name: 'v_join', columns: columns('id int, item text, buyer text') },
  { name: 'v_secret_filter', columns: columns('id int, name text') },
  { name: 'm_people', columns: columns('id int, name text, address text') },
]

function columns(list: string): Column[] {
  return list.split(',').map((each) => {
    const [name = '', type = ''] = each.trim().split(' ')
    const known = sqlTypes.find((candidate) => candidate === type)
    if (known === undefined) throw new Error(`no type ${type}`)
    return { name, type: known }
  })
}
