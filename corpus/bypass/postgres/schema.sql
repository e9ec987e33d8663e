-- The shop that every row of this corpus attacks, and that the fuzzers in fuzz/ ask about.
-- Which columns are masked stands in policy.yaml. No row of a table is made here: fuzz/shop/values.ts makes two worlds
-- that differ in the masked values alone.

create domain positive as bigint check (value > 0);
create domain code as text check (value ~ '^[A-Z]{2}[0-9]+$');
create type mood as enum ('calm', 'merry', 'grim');
create type pair as (a text, b text);

create table people(
  id int primary key,
  name text not null,
  city text not null,
  mood mood not null,
  joined date not null,
  points int not null,
  email text,
  ssn text unique,
  salary bigint,
  bonus numeric(20, 4),
  born date,
  seen timestamptz,
  diagnosis text,
  profile jsonb,
  labels text[],
  photo bytea,
  device uuid,
  vip boolean,
  ratio double precision,
  mail_host text generated always as (split_part(email, '@', 2)) stored,
  constraint salary_small check (salary < 9000000000000000000)
);
create index people_email on people(lower(email));

create table orders(
  id int primary key,
  person_id int not null references people,
  item text not null,
  amount numeric(10, 2) not null,
  placed date not null,
  card text,
  cvv int,
  unique (person_id, cvv)
);

create table visits(
  id int not null,
  person_id int not null,
  day date not null,
  room text not null,
  finding text,
  cost positive
) partition by range (day);
create table visits_2023 partition of visits for values from ('2023-01-01') to ('2024-01-01');
create table visits_2024 partition of visits for values from ('2024-01-01') to ('2025-01-01');

create table contacts(id int primary key, label text not null, phone text);
create table vip_contacts(level int not null) inherits (contacts);

-- Only the child's column is masked.
create table notes(id int not null, body text);
create table secret_notes() inherits (notes);

-- Nothing in these is masked.
create table badges(id int primary key, person_id int not null, colour text not null, metal text);
create table items(sku text primary key, title text not null, price numeric(10, 2) not null, stock int not null);
create table scratch(id int, body text, amount numeric, doc jsonb);
create table mirror(like people excluding constraints excluding generated);
create sequence ticket;

create view v_people as select * from people;
create view v_contact as select id, lower(email) as contact from people;
create view v_nested as select contact || '!' as loud, id from v_contact;
create view v_clean as select id, name, city, points from people;
create view v_top as select city, max(salary) as top, count(*) as heads from people group by city;
create view v_join as select o.id, o.item, p.ssn as buyer from orders o join people p on p.id = o.person_id;
create view v_secret_filter as select id, name from people where diagnosis like 'a%';
create materialized view m_people as select id, name, email as address from people with no data;

create function person_ssn(who int) returns text language sql stable as 'select ssn from people where id = who';
create function all_people() returns setof people language sql stable as 'select * from people order by id';
create function tell(p people) returns text language sql immutable as 'select p.diagnosis';
create function person_mail(who int) returns text language plpgsql stable
  as 'begin return (select email from people where id = who); end';
create function run_text(query text) returns text language plpgsql
  as 'declare answer text; begin execute query into answer; return answer; end';
create function definer_ssn(who int) returns text language sql security definer as 'select ssn from people where id = who';
create function shout(words text) returns text language sql immutable as 'select upper(words)';
create function louder(text) returns text language sql immutable as 'select upper($1)';
create function noisy(words text) returns text language plpgsql as 'begin raise notice ''%'', words; return words; end';
create function failing(words text) returns text language plpgsql as 'begin raise exception ''%'', words; end';
create function join_two(state text, more text) returns text language sql immutable as 'select coalesce(state, '''') || coalesce(more, '''')';
create aggregate glue(text) (sfunc = join_two, stype = text);
create operator @@@ (rightarg = int, function = person_ssn);
create function badge_text(b badges) returns text language sql stable as 'select ssn from people where id = b.person_id';
create function badge_name(b badges) returns name language sql stable as 'select ssn::name from people where id = b.person_id';
create cast (badges as name) with function badge_name(badges);
create procedure purge_items() language sql as 'delete from items';
create function purge_orders() returns int language plpgsql as 'begin delete from orders; return 1; end';

create function keep_order() returns trigger language plpgsql
  as 'begin insert into scratch(id, body) values (new.id, new.card); return new; end';
create trigger keep_order after insert or update on orders for each row execute function keep_order();
create rule badge_leaves as on delete to badges do also insert into scratch(id, body) select id, email from people;

create role clerk;
create role owner_of_all superuser;
