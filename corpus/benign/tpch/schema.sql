-- Tables after TPC-H (a decision-support benchmark), with rows made here: enough for every query to find some.
create table region (r_regionkey int primary key, r_name char(25) not null, r_comment varchar(152));
create table nation (n_nationkey int primary key, n_name char(25) not null, n_regionkey int not null references region, n_comment varchar(152));
create table supplier (s_suppkey int primary key, s_name char(25) not null, s_address varchar(40) not null, s_nationkey int not null references nation,
  s_phone char(15) not null, s_acctbal numeric(15,2) not null, s_comment varchar(101) not null);
create table part (p_partkey int primary key, p_name varchar(55) not null, p_mfgr char(25) not null, p_brand char(10) not null, p_type varchar(25) not null,
  p_size int not null, p_container char(10) not null, p_retailprice numeric(15,2) not null, p_comment varchar(23) not null);
create table partsupp (ps_partkey int not null references part, ps_suppkey int not null references supplier, ps_availqty int not null,
  ps_supplycost numeric(15,2) not null, ps_comment varchar(199) not null, primary key (ps_partkey, ps_suppkey));
create table customer (c_custkey int primary key, c_name varchar(25) not null, c_address varchar(40) not null, c_nationkey int not null references nation,
  c_phone char(15) not null, c_acctbal numeric(15,2) not null, c_mktsegment char(10) not null, c_comment varchar(117) not null);
create table orders (o_orderkey int primary key, o_custkey int not null references customer, o_orderstatus char(1) not null, o_totalprice numeric(15,2) not null,
  o_orderdate date not null, o_orderpriority char(15) not null, o_clerk char(15) not null, o_shippriority int not null, o_comment varchar(79) not null);
create table lineitem (l_orderkey int not null references orders, l_partkey int not null, l_suppkey int not null, l_linenumber int not null,
  l_quantity numeric(15,2) not null, l_extendedprice numeric(15,2) not null, l_discount numeric(15,2) not null, l_tax numeric(15,2) not null,
  l_returnflag char(1) not null, l_linestatus char(1) not null, l_shipdate date not null, l_commitdate date not null, l_receiptdate date not null,
  l_shipinstruct char(25) not null, l_shipmode char(10) not null, l_comment varchar(44) not null,
  primary key (l_orderkey, l_linenumber), foreign key (l_partkey, l_suppkey) references partsupp);

insert into region select n, (array['AFRICA','AMERICA','ASIA','EUROPE','MIDDLE EAST'])[n + 1], '' from generate_series(0, 4) n;
insert into nation select n, (array['ALGERIA','BRAZIL','CANADA','FRANCE','GERMANY','INDIA','SAUDI ARABIA','KENYA','CHINA','RUSSIA'])[n + 1],
  (array[0,1,1,3,3,2,4,0,2,3])[n + 1], '' from generate_series(0, 9) n;
insert into supplier select n, 'Supplier#' || n, 'street ' || n, n / 2 % 10, (10 + n % 10) || '-555-' || n, n * 100 % 9000,
  case when n % 7 = 0 then 'Customer has Complaints' else 'quick' end from generate_series(1, 40) n;
insert into part select n, (array['forest','green','blue'])[n % 3 + 1] || ' part ' || n, 'Manufacturer#' || n % 5, 'Brand#' || 11 + n % 25,
  (array['STANDARD','SMALL','MEDIUM','PROMO','ECONOMY'])[n % 5 + 1] || ' ' || (array['ANODIZED','POLISHED'])[n % 2 + 1] || ' ' || (array['BRASS','STEEL','COPPER'])[n % 3 + 1],
  n % 50 + 1, (array['SM CASE','MED BOX','JUMBO PKG','LG BOX'])[n % 4 + 1], 900 + n, 'p' from generate_series(1, 200) n;
insert into partsupp select p, (p * 4 + i * 10) % 40 + 1, p * i + 100, p + i, 'ps' from generate_series(1, 200) p, generate_series(0, 3) i;
insert into customer select n, 'Customer#' || lpad(n::text, 9, '0'), 'lane ' || md5(n::text), n * 3 % 10, (10 + n % 25) || '-555-' || lpad(n::text, 4, '0'), n * 137 % 9900 - 900,
  (array['BUILDING','AUTOMOBILE','MACHINERY','HOUSEHOLD','FURNITURE'])[n % 5 + 1], 'note ' || md5('c' || n) from generate_series(1, 300) n;
insert into orders select n, n * 7 % 270 + 1, (array['F','O','P'])[n % 3 + 1], n * 131 % 400000 + 1000, date '1992-01-01' + n * 17 % 2400,
  (array['1-URGENT','2-HIGH','3-MEDIUM','4-NOT SPECIFIED','5-LOW'])[n % 5 + 1], 'Clerk#' || n % 9, 0,
  case when n % 11 = 0 then 'special requests' else 'o' end from generate_series(1, 1500) n;
insert into lineitem select o, ps_partkey, ps_suppkey, l, (o * l) % 50 + 1, (o * l) % 9000 + 900, (o + l) % 10 / 100.0, (o + l) % 8 / 100.0,
  (array['R','A','N'])[o % 3 + 1], (array['O','F'])[l % 2 + 1], o_orderdate + l * 20, o_orderdate + l * 15 + 10, o_orderdate + l * 20 + 5,
  (array['DELIVER IN PERSON','NONE','COLLECT COD'])[l % 3 + 1], (array['AIR','MAIL','SHIP','TRUCK','AIR REG','RAIL'])[(o + l) % 6 + 1], 'l'
  from (select o_orderkey as o, o_orderdate from orders) q, generate_series(1, 4) l
  join lateral (select ps_partkey, ps_suppkey from partsupp order by ps_partkey, ps_suppkey offset 0) ps on true
  where ps_partkey = (o * 3 + l) % 200 + 1 and ps_suppkey = ((o * 3 + l) % 200 + 1) * 4 % 40 + 1;
analyze;
