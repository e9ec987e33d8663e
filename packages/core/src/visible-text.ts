/** What could steer the terminal of whoever reads, forge lines, or show text in another order than it was written in. */
const steering = /(?!\t)[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu

/** The text with everything that could steer a terminal written out: an escape reads `\x1b`, U+202E `\u202e`. Tabs stay. */
export function visibleText(text: string): string {
  return text.replaceAll(steering, (character) => {
    const code = character.charCodeAt(0)
    return code < 0x100
      ? String.raw`\x${code.toString(16).padStart(2, '0')}`
      : String.raw`\u${code.toString(16).padStart(4, '0')}`
  })
}

/** JSON with the same written as JSON has it: what stands for them is read back as what it was. */
export function visibleJson(json: string): string {
  return json.replaceAll(
    steering,
    (character) => String.raw`\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
