/** What a report is handed out as, and the media type of each. */
export const reportForms = {
  json: 'application/json',
  markdown: 'text/markdown; charset=utf-8',
  zip: 'application/zip',
} as const
export type ReportForm = keyof typeof reportForms
