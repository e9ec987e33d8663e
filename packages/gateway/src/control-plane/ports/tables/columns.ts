import type { ColumnType } from 'kysely'

/** A jsonb column: read as `T`, written as JSON text, since the driver would turn a list into a PostgreSQL array. */
export type Json<T> = ColumnType<T, string, string>
export type Timestamp = ColumnType<Date, Date, Date>
export type NullableTimestamp = ColumnType<Date | null, Date | null, Date | null>
/** A bigint column: the driver reads it as text. */
export type Int8 = ColumnType<string, number, number>
