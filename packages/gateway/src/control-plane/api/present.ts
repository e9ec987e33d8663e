/** The fields that have a value. */
export function present<Fields extends object>(fields: Fields): Present<Fields> {
  const some = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(some) as Present<Fields>
}

type Present<Fields> = {
  [Name in keyof Fields as undefined extends Fields[Name] ? never : Name]: Fields[Name]
} & {
  [Name in keyof Fields as undefined extends Fields[Name] ? Name : never]?: Exclude<
    Fields[Name],
    undefined
  >
}
