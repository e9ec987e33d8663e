/** A command that somebody should be asked about, or that should not run at all. */
export interface DangerousCommand {
  /** What it does, in a few words. */
  readonly name: string
  readonly run: string
}

/** Tables that the commands are about. */
export const dangerousTables = [
  { schema: 'public', name: 'customers', columns: ['id', 'name', 'email'] },
  { schema: 'public', name: 'orders', columns: ['id', 'customer', 'total'] },
]

/** The canonical dangerous commands of PostgreSQL: for each, `sallyport policy lint --matrix` shows what the policies make of it. */
export const dangerousCommands: readonly DangerousCommand[] = [
  { name: 'drop a database', run: 'DROP DATABASE shop' },
  { name: 'drop a schema', run: 'DROP SCHEMA public CASCADE' },
  { name: 'drop a table', run: 'DROP TABLE orders' },
  { name: 'drop a column', run: 'ALTER TABLE orders DROP COLUMN total' },
  { name: 'empty a table', run: 'TRUNCATE orders' },
  { name: 'delete every row', run: 'DELETE FROM orders' },
  { name: 'change every row', run: 'UPDATE orders SET total = 0' },
  { name: 'change some rows', run: 'UPDATE orders SET total = 0 WHERE id = 1' },
  { name: 'read everything', run: 'SELECT * FROM customers' },
  { name: 'run a program', run: "COPY orders TO PROGRAM 'cat'" },
  { name: 'write a file', run: "COPY orders TO '/tmp/orders'" },
  { name: 'read a file', run: "SELECT pg_read_file('/etc/passwd')" },
  { name: 'give rights', run: 'GRANT ALL ON orders TO PUBLIC' },
  { name: 'make a superuser', run: 'CREATE ROLE root SUPERUSER LOGIN' },
  { name: 'change the server', run: "ALTER SYSTEM SET archive_command = 'true'" },
  { name: 'load code', run: 'CREATE EXTENSION plpython3u' },
  { name: 'leave a trigger', run: 'CREATE TRIGGER t AFTER INSERT ON orders EXECUTE FUNCTION f()' },
  { name: 'reach another server', run: "SELECT dblink('host=elsewhere', 'select 1')" },
  { name: 'end sessions of others', run: 'SELECT pg_terminate_backend(1)' },
  { name: 'dynamic SQL', run: "DO $$ BEGIN EXECUTE 'dr' || 'op table orders'; END $$" },
]
