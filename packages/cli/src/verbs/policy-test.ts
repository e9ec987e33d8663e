import { SallyportError } from '@sallyport/core'
import { printProblems, runPolicyTests, type TestReport, type TestResult } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printable, printOne } from '../output.ts'
import { policyFiles } from './policy-files.ts'

export interface TestFlags {
  readonly coverage?: boolean
}

/** Runs the tests in the files against the policies in them. No gateway is asked, and nothing is sent anywhere. */
export async function testPolicies(
  context: VerbContext,
  paths: readonly string[],
  flags: TestFlags,
): Promise<number> {
  const run = await runPolicyTests(await policyFiles(paths))
  if (run.kind === 'refused') {
    throw new SallyportError('SP_CONFIG_INVALID', printProblems(run.problems, 'No test was run.'))
  }
  const { report } = run
  if (report.results.length === 0) {
    const detail = `no test in ${paths.join(', ')}: a test is a document of kind PolicyTest`
    throw new SallyportError('SP_CONFIG_INVALID', detail)
  }
  const failed = report.results.filter(({ failures }) => failures.length > 0)
  const text = reportText(report, failed, flags.coverage === true)
  await printOne(context.output, report, text, String(failed.length))
  return failed.length > 0 ? EXIT.findings : EXIT.done
}

function reportText(
  { results, uncovered, rules, clauses }: TestReport,
  failed: readonly TestResult[],
  withCoverage: boolean,
): string {
  const lines = [`PASS ${results.length - failed.length}  FAIL ${failed.length}`]
  for (const { file, line, name, failures, rules: decided } of failed) {
    lines.push(`FAIL ${file}:${line}  "${name}"`)
    const by = decided.map(({ id, at }) => `${id}, ${at}`).join('; ')
    for (const failure of failures) lines.push(`  ${failure}${by === '' ? '' : ` (${by})`}`)
  }
  const gaps = uncovered.length === 0 ? '' : `; ${uncovered.length} rules with gaps`
  lines.push(
    `Shown both true and false: ${clauses.covered} of ${clauses.all} sides of clauses in ${rules} rules${gaps}${gaps === '' || withCoverage ? '' : ' (--coverage lists them)'}`,
  )
  if (withCoverage) {
    for (const { id, at, neverMatched, alwaysMatched, neverTrue, neverFalse } of uncovered) {
      const what = neverMatched ? 'never matches' : alwaysMatched ? 'always matches' : ''
      lines.push(`${id}  ${at}${what === '' ? '' : `  ${what}`}`)
      for (const text of neverTrue) lines.push(`  never true   ${text}`)
      for (const text of neverFalse) lines.push(`  never false  ${text}`)
    }
  }
  return lines.map((line) => `${printable(line)}\n`).join('')
}
