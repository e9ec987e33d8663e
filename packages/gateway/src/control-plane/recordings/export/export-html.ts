import type { RecordedEntry, RecordingProblem } from '../journal-reader.ts'
import { timedTranscript } from './timed-transcript.ts'

/** One page that plays the transcript and needs nothing else: it loads nothing, and what was recorded can't run in it. */
export async function* sessionHtml(
  items: AsyncIterable<RecordedEntry | RecordingProblem>,
  session: string,
  width: number,
): AsyncGenerator<string> {
  yield head(session)
  let separator = ''
  for await (const { at, text, isCommand } of timedTranscript(items, width)) {
    // "<" can't stand in the data, so nothing in it can end the element that holds it.
    yield (
      separator + JSON.stringify([at, text, isCommand ? 1 : 0]).replaceAll('<', String.raw`\u003c`)
    )
    separator = ',\n'
  }
  yield tail
}

function head(session: string): string {
  const title = session.replaceAll(/[^\w-]/gu, '')
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<title>Recording ${title}</title>
<style>
  body { margin: 0; font: 14px/1.5 system-ui, sans-serif; color: #1c2126; background: #fff }
  header { position: sticky; top: 0; display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; padding: .75rem 1rem; background: #fff; border-bottom: 1px solid #d5dade }
  h1 { font-size: 1rem; margin: 0 }
  input[type=range] { flex: 1; min-width: 10rem }
  pre { margin: 0; padding: 1rem; font: 13px/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
  .command { color: #0b4a8f }
  @media (prefers-color-scheme: dark) { body, header { background: #14181c; color: #dfe5ea } header { border-color: #39424a } .command { color: #8fc1ff } }
</style>
<header>
  <h1>${title}</h1>
  <button id="play">Play</button>
  <label>Speed <select id="speed"><option>1</option><option>4</option><option>16</option><option>64</option></select></label>
  <label><input type="checkbox" id="idle" checked> skip waits over 1 s</label>
  <label><input type="checkbox" id="only"> commands only</label>
  <input type="range" id="seek" min="0" value="0" aria-label="Moment">
  <output id="time"></output>
</header>
<pre id="screen"></pre>
<script type="application/json" id="data">[`
}

const tail = `]</script>
<script>
  const parts = JSON.parse(document.getElementById('data').textContent)
  const get = (id) => document.getElementById(id)
  let shown = parts.length
  let timer
  get('seek').max = parts.length
  function draw() {
    const lines = parts.slice(0, shown).filter((part) => !get('only').checked || part[2])
    get('screen').replaceChildren(...lines.map(([, text, isCommand]) => {
      const span = document.createElement('span')
      span.textContent = text
      if (isCommand) span.className = 'command'
      return span
    }))
    get('seek').value = shown
    get('time').textContent = (parts[shown - 1]?.[0] ?? 0).toFixed(1) + ' s of ' + (parts.at(-1)?.[0] ?? 0).toFixed(1) + ' s'
  }
  function stop() {
    clearTimeout(timer)
    timer = undefined
    get('play').textContent = 'Play'
  }
  function next() {
    shown += 1
    draw()
    scrollTo(0, document.body.scrollHeight)
    if (shown >= parts.length) return stop()
    let wait = parts[shown][0] - parts[shown - 1][0]
    if (get('idle').checked) wait = Math.min(wait, 1)
    timer = setTimeout(next, wait * 1000 / Number(get('speed').value))
  }
  get('play').onclick = () => {
    if (timer !== undefined) return stop()
    if (shown >= parts.length) shown = 0
    get('play').textContent = 'Pause'
    next()
  }
  get('seek').oninput = () => { stop(); shown = Number(get('seek').value); draw() }
  get('only').onchange = draw
  draw()
</script>
</html>
`
