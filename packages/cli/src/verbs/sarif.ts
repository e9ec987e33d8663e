import type { LintReport } from '@sallyport/gateway'

/** Findings as SARIF 2.1.0, which code review shows at the lines. What was not checked is a notification of the run. */
export function sarifOf({ findings, notChecked }: LintReport): object {
  const checks = [...new Set(findings.map(({ check }) => check))].toSorted()
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'sallyport policy lint',
            informationUri: 'https://sallyport.dev/docs/policy',
            rules: checks.map((id) => ({ id })),
          },
        },
        // Section 3.14.11: columns count UTF-16 code units, as the findings do.
        columnKind: 'utf16CodeUnits',
        invocations: [
          {
            executionSuccessful: true,
            toolExecutionNotifications: notChecked.map(({ check, why, rule }) => ({
              level: 'note',
              message: {
                text: `not checked: ${check}${rule === undefined ? '' : ` of ${rule}`}: ${why}`,
              },
            })),
          },
        ],
        results: findings.map(({ check, severity, message, hint, file, line, column, length }) => ({
          ruleId: check,
          ruleIndex: checks.indexOf(check),
          level: severity,
          message: { text: hint === '' ? message : `${message}; ${hint}` },
          locations: [
            {
              physicalLocation: {
                artifactLocation: { uri: uriOf(file) },
                region: { startLine: line, startColumn: column, endColumn: column + length },
              },
            },
          ],
        })),
      },
    ],
  }
}

/** RFC 3986: a relative reference, so that it means the file in whatever checkout. */
function uriOf(file: string): string {
  return file.replaceAll('\\', '/').split('/').map(encodeURIComponent).join('/')
}
