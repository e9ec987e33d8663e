"""Runs the same work with psycopg and asyncpg straight at PostgreSQL and through the gateway, and compares.

Needs the packages psycopg[binary] and asyncpg, and two libpq URLs in DIRECT_URL and GATEWAY_URL for an
account that may create temporary tables. Exits with 1 where anything differs.
"""

import asyncio
import os
import sys

import asyncpg
import psycopg


def psycopg_work(url):
    out = []
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("create temp table t(id int primary key, name text, data bytea)")
        for binary in (False, True):
            cursor = db.cursor(binary=binary)
            cursor.execute(
                "select %s::int, %s::text, %b::bytea, %s::text[], %s::numeric, null",
                (7, "ü€😀", b"\x00\xff", ["a", 'b"'], 1),
            )
            out.append((cursor.fetchall(), [column.type_code for column in cursor.description]))
        with db.cursor() as cursor:
            cursor.executemany("insert into t values (%s, %s, %s)", [(n, f"n{n}", b"x") for n in range(200)])
            out.append(cursor.rowcount)
        with db.pipeline():
            cursors = [db.execute("select %s::int", (n,)) for n in range(100)]
        out.append([cursor.fetchone() for cursor in cursors])
        try:
            with db.pipeline() as pipeline:
                db.execute("select 1")
                db.execute("select 1/%s::int", (0,))
                db.execute("select 3")
                pipeline.sync()
        except psycopg.Error as error:
            out.append((error.sqlstate, str(error)))
        for _ in range(10):
            out.append(db.execute("select name from t where id = %s", (5,), prepare=True).fetchone())
        with db.transaction():
            with db.cursor(name="server_side") as cursor:
                cursor.itersize = 9
                cursor.execute("select id from t order by id")
                out.append([row for row in cursor])
        for form in ("text", "binary"):
            db.execute("truncate t")
            with db.cursor().copy(f"copy t from stdin (format {form})") as copy:
                copy.set_types(["int4", "text", "bytea"])
                for n in range(300):
                    copy.write_row((n, f"line {n}", b"\x01"))
            with db.cursor().copy(f"copy (select * from t order by id) to stdout (format {form})") as copy:
                out.append(b"".join(bytes(data) for data in copy))
        for statement in ("select 1/0", "selct", "select nothing", "insert into t values (1)"):
            try:
                db.execute(statement)
            except psycopg.Error as error:
                out.append((error.sqlstate, str(error), error.diag.source_function))
        try:
            with db.transaction():
                db.execute("insert into t values (1000)")
                db.execute("select 1/0")
        except psycopg.Error as error:
            out.append(error.sqlstate)
        out.append(db.execute("select count(*) from t").fetchone())
        db.execute("listen news")
        db.execute("notify news, 'hello'")
        out.append([note.payload for note in db.notifies(timeout=5, stop_after=1)])
    return out


async def asyncpg_work(url):
    out = []
    db = await asyncpg.connect(url)
    await db.execute("create temp table t(id int primary key, name text, data bytea)")
    out.append(await db.fetch("select $1::int, $2::text, $3::bytea, $4::text[], $5::numeric", 7, "ü€😀", b"\0\xff", ["a"], 1))
    await db.executemany("insert into t values ($1, $2, $3)", [(n, f"n{n}", b"x") for n in range(200)])
    statement = await db.prepare("select name from t where id = $1")
    out.append([await statement.fetchval(n) for n in range(20)])
    out.append([str(column) for column in statement.get_attributes()])
    async with db.transaction():
        out.append([row["id"] async for row in db.cursor("select id from t order by id", prefetch=7)])
    out.append(await db.copy_records_to_table("t", records=[(n, f"c{n}", b"y") for n in range(1000, 1300)]))
    copied = []

    async def keep(data):
        copied.append(data)

    out.append(await db.copy_from_query("select * from t order by id", output=keep, format="binary"))
    out.append(b"".join(copied))
    for text in ("select 1/0", "selct", "select nothing"):
        try:
            await db.fetch(text)
        except asyncpg.PostgresError as error:
            out.append((error.sqlstate, str(error)))
    try:
        async with db.transaction():
            await db.execute("insert into t values (9999)")
            async with db.transaction():
                await db.execute("select 1/0")
    except asyncpg.PostgresError as error:
        out.append(error.sqlstate)
    try:
        await db.fetch("select pg_sleep(60)", timeout=0.5)
    except TimeoutError:
        out.append("cancelled")
    out.append(await db.fetchval("select count(*) from t"))
    heard = asyncio.get_running_loop().create_future()
    await db.add_listener("news", lambda *note: heard.set_result(note[3]))
    await db.execute("notify news, 'hello'")
    out.append(await asyncio.wait_for(heard, 10))
    await db.reset()
    await db.close()
    return out


def compare(name, expected, actual):
    differences = [pair for pair in zip(expected, actual) if pair[0] != pair[1]]
    if len(expected) == len(actual) and not differences:
        print(f"{name}: {len(expected)} results, all the same")
        return True
    print(f"{name}: {len(expected)} results direct, {len(actual)} through the gateway")
    for direct, through in differences:
        print(f"  direct:  {str(direct)[:400]}\n  gateway: {str(through)[:400]}")
    return False


def main():
    direct, through = os.environ["DIRECT_URL"], os.environ["GATEWAY_URL"]
    same = compare("psycopg", psycopg_work(direct), psycopg_work(through))
    same &= compare("asyncpg", asyncio.run(asyncpg_work(direct)), asyncio.run(asyncpg_work(through)))
    sys.exit(0 if same else 1)


main()
