/** What a recorded session can be read as, and the media type of each. */
export const recordingForms = {
  ndjson: 'application/x-ndjson',
  text: 'text/plain; charset=utf-8',
  steps: 'application/x-ndjson',
  csv: 'text/csv; charset=utf-8',
  cast: 'application/x-asciicast',
  html: 'text/html; charset=utf-8',
} as const
