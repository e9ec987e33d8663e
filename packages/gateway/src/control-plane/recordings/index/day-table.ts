/** The table that holds the commands of a day, `2026-11-21`: a partition of `command`. */
export function dayTable(day: string): string {
  return `command_${day.replaceAll('-', '_')}`
}
