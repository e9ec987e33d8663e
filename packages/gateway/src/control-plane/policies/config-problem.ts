/** One thing that is wrong with a file of configuration, with all that is needed to show it. */
export interface ConfigProblem {
  readonly message: string
  /** What to write instead; stands behind the carets. */
  readonly hint: string
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly column: number
  /** Number of carets; the rest of a range over several lines is not marked. */
  readonly length: number
  /** `spec.rules.0.when`; empty where the place is not a field. */
  readonly path: string
  readonly sourceLine: string
  /** The name of the check that found it, where it has one. */
  readonly check?: string
}

/** Prints problems with line and caret, for people. `outcome` says what became of the files. */
export function printProblems(
  problems: readonly ConfigProblem[],
  outcome = 'Nothing was applied.',
): string {
  const count = problems.length === 1 ? '1 error' : `${problems.length} errors`
  const footer = `${count}. ${outcome} Docs: https://sallyport.dev/docs/config\n`
  return [...problems.map(printProblem), footer].join('\n')
}

function printProblem(problem: ConfigProblem): string {
  const number = String(problem.line).padStart(2)
  const margin = ' '.repeat(number.length + 1)
  const where = problem.path === '' ? '' : `  (${problem.path})`
  // Tabs stay tabs, so that the carets stand below what they mark.
  const indent = problem.sourceLine.slice(0, problem.column - 1).replaceAll(/[^\t]/gu, ' ')
  const marks = '^'.repeat(Math.max(1, problem.length))
  return [
    `error: ${problem.message}`,
    `${' '.repeat(number.length)}--> ${problem.file}:${problem.line}:${problem.column}${where}`,
    `${margin}|`,
    `${number} | ${problem.sourceLine}`,
    `${margin}| ${indent}${marks}${problem.hint === '' ? '' : ` ${problem.hint}`}`,
    '',
  ].join('\n')
}
