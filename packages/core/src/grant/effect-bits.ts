import { EFFECT_CLASSES, type EffectClass } from '../command.ts'

const bits: ReadonlyMap<string, number> = new Map(
  EFFECT_CLASSES.map((name, index) => [name, 1 << index]),
)
const starBits = EFFECT_CLASSES.reduce(
  (sum, name) => (name === 'unknown' ? sum : sum | effectBit(name)),
  0,
)

/** One bit for each effect class. A word that is no class has no bit, so it matches nothing. */
export function effectBit(name: string): number {
  return bits.get(name) ?? 0
}

/** The classes of a permit as bits. `*` stands for every class but `unknown`, which must be named. */
export function effectBits(classes: readonly string[]): number {
  let sum = 0
  for (const name of classes) sum |= name === '*' ? starBits : effectBit(name)
  return sum
}

/** The classes that bits stand for, in the order of the closed list. */
export function effectsOfBits(sum: number): readonly EffectClass[] {
  return EFFECT_CLASSES.filter((name) => (sum & effectBit(name)) !== 0)
}

/** The shortest canonical list: `*` where every class but `unknown` is there. */
export function canonicalClasses(classes: readonly string[]): readonly string[] {
  const sum = effectBits(classes)
  if ((sum & starBits) !== starBits) return effectsOfBits(sum)
  return sum === starBits ? ['*'] : ['*', 'unknown']
}
