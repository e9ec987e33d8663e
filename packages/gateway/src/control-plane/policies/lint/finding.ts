/** What `sallyport policy lint` says about one place of a policy. */
export interface Finding {
  readonly check: string
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly hint: string
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly column: number
  /** Characters that are meant, in the line. */
  readonly length: number
  /** `policy/rule`, where it is about one. */
  readonly rule?: string
}

/** A check that could not be made. What was not checked is not good. */
export interface NotChecked {
  readonly check: string
  readonly why: string
  /** Absent where it is about all rules. */
  readonly rule?: string
}

export interface LintReport {
  readonly findings: readonly Finding[]
  readonly notChecked: readonly NotChecked[]
  readonly policies: number
  readonly rules: number
}
