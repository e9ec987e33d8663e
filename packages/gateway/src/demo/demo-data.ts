import type { PGlite } from '@electric-sql/pglite'

/** How much the demo holds. The numbers are fixed, so that the planner's estimates are the same for everybody. */
export const DEMO_ROWS = { customers: 200, orders: 12_040, staleOrders: 1_204 } as const

const firstNames = [
  'Ana',
  'Ben',
  'Chiara',
  'Deniz',
  'Elif',
  'Farid',
  'Greta',
  'Hugo',
  'Ines',
  'Jun',
]
const lastNames = ['Albers', 'Brandt', 'Costa', 'Dubois', 'Egger', 'Fischer', 'Garcia', 'Haddad']

const schema = `
create table customers (
  id integer primary key, name text not null, email text not null unique, phone text,
  ssn text, card text, created_at timestamptz not null);
create table orders (
  id integer primary key, customer_id integer not null references customers,
  status text not null, total numeric(10, 2) not null, created_at timestamptz not null);
create table order_items (
  id integer primary key, order_id integer not null references orders on delete cascade,
  product text not null, quantity integer not null);
create index on orders (status);
create index on orders (customer_id);
create index on order_items (order_id);
insert into orders
  select i, 1 + (i * 7) % ${DEMO_ROWS.customers},
    case when i % 10 = 0 then 'stale' else (array['new', 'paid', 'shipped'])[1 + i % 3] end,
    ((i * 37) % 50000) / 100.0 + 1, timestamptz '2026-01-01 00:00:00+00' + i * interval '15 minutes'
  from generate_series(1, ${DEMO_ROWS.orders}) as i;
insert into order_items
  select i, 1 + (i * 11) % ${DEMO_ROWS.orders}, (array['lamp', 'chair', 'desk', 'shelf'])[1 + i % 4], 1 + i % 3
  from generate_series(1, 2000) as i;
create view customer_totals as
  select c.id, c.name, count(o.id) as orders, coalesce(sum(o.total), 0) as total
  from customers c left join orders o on o.customer_id = c.id group by c.id;
analyze;
`

/** Fills an empty database with the shop; leaves a filled one as its user left it. */
export async function seedDemo(lite: PGlite): Promise<void> {
  const found = await lite.query<{ found: boolean }>(
    `select to_regclass('public.orders') is not null as found`,
  )
  if (found.rows[0]?.found === true) return
  // One transaction: a start that was interrupted leaves an empty database, not half a shop.
  const [tables, rest] = splitAtOrders()
  await lite.exec(
    `begin; ${tables} ${customersInsert()} ${rest.replace('analyze;', 'commit; analyze;')}`,
  )
}

/** Orders refer to customers, so the customers go in between. */
function splitAtOrders(): [string, string] {
  const at = schema.indexOf('insert into orders')
  return [schema.slice(0, at), schema.slice(at)]
}

function customersInsert(): string {
  const rows = Array.from({ length: DEMO_ROWS.customers }, (_, index) => customerRow(index + 1))
  return `insert into customers values ${rows.join(',\n')};`
}

function customerRow(id: number): string {
  const first = firstNames[(id - 1) % firstNames.length] ?? ''
  const last = lastNames[Math.floor((id - 1) / firstNames.length) % lastNames.length] ?? ''
  const email = `${first}.${last}.${id}@example.com`.toLowerCase()
  const phone = `+1202555${String(id).padStart(4, '0')}`
  const ssn = `${100 + (id % 500)}-${10 + (id % 89)}-${1000 + id}`
  const created = `2025-${String(1 + (id % 12)).padStart(2, '0')}-15T09:00:00Z`
  return `(${id}, '${first} ${last}', '${email}', '${phone}', '${ssn}', '${cardNumber(id)}', '${created}')`
}

/** A card number that passes the Luhn check, as a detector expects, on a prefix that is used for tests only. */
export function cardNumber(id: number): string {
  const digits = `41111111${String(1_000_000 + id * 7919).slice(-7)}`
  let sum = 0
  for (let index = 0; index < digits.length; index++) {
    const digit = Number(digits[index])
    // Counted from the check digit, every second one doubles; 15 digits before it make those the even indices.
    const doubled = index % 2 === 0 ? digit * 2 : digit
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return digits + String((10 - (sum % 10)) % 10)
}
