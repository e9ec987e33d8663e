/** Words of RFC 7644, section 3.12. */
export type ScimType =
  | 'invalidFilter'
  | 'invalidPath'
  | 'invalidSyntax'
  | 'invalidValue'
  | 'mutability'
  | 'noTarget'
  | 'tooMany'
  | 'uniqueness'

/** An answer to a directory that asks for something that cannot be done. */
export class ScimError extends Error {
  override readonly name = 'ScimError'
  readonly status: 400 | 401 | 404 | 409 | 413
  readonly scimType: ScimType | undefined

  constructor(status: ScimError['status'], detail: string, scimType?: ScimType) {
    super(detail)
    this.status = status
    this.scimType = scimType
  }
}

export function notFound(kind: 'User' | 'Group', id: string): ScimError {
  return new ScimError(404, `there is no ${kind} ${JSON.stringify(id.slice(0, 100))}`)
}
