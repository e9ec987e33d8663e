import { BackendType, frameType } from '@sallyport/wire'
import type { Program } from './grammar/program.ts'
import { byDesign, reasonOf, type RefusalKind } from './refusal-kind.ts'
import { framesOfSteps } from './send-program.ts'
import { refusalOf } from './worlds/canonical.ts'
import type { Compared } from './worlds/world-pair.ts'

/** Relations through which a masked column can be reached. */
const maskedRelations = /\b(people|orders|visits\w*|\w*contacts|v_\w+|m_people|notes)\b/

/** Counts what became of statements. */
export class Tally {
  statements = 0
  overMasked = 0
  refused = 0
  refusedOverMasked = 0
  failed = 0
  /** Of those over masked columns, by kind and by reason. */
  readonly kinds = new Map<RefusalKind, number>()
  readonly reasons = new Map<string, number>()
  /** Of a sample that was run without the gateway too: programs whose answer depends on no masked value. */
  sampleClean = 0
  /** … and of these, the ones that the gateway refused or changed all the same. */
  sampleCleanChanged = 0
  sampleCleanRefused = 0
  sampleSecret = 0

  count(program: Program, frames: readonly Buffer[]): void {
    const groups = framesOfSteps(frames)
    for (const [at, step] of program.steps.entries()) {
      this.statements += 1
      const touches = maskedRelations.test(step.sql)
      if (touches) this.overMasked += 1
      const group = groups[at] ?? []
      const refusal = group.map(reasonOf).find((one) => one !== undefined)
      if (refusal !== undefined) {
        this.refused += 1
        if (!touches) return
        this.refusedOverMasked += 1
        add(this.kinds, refusal.kind)
        add(this.reasons, refusal.reason)
        return
      }
      if (group.some((frame) => frameType(frame, 0) === BackendType.errorResponse)) {
        this.failed += 1
        return
      }
    }
  }

  /** `plain` is the same program without the gateway. */
  compare(through: Compared, plain: Compared | undefined): void {
    if (plain === undefined) return
    if (plain.difference !== undefined) {
      this.sampleSecret += 1
      return
    }
    this.sampleClean += 1
    if (through.a.frames.some((frame) => refusalOf(frame) !== undefined))
      this.sampleCleanRefused += 1
    else if (!Buffer.concat([...through.a.frames]).equals(Buffer.concat([...plain.a.frames]))) {
      this.sampleCleanChanged += 1
    }
  }

  lines(seconds: number): string[] {
    const share = (part: number, of: number): string =>
      `${((100 * part) / Math.max(1, of)).toFixed(2)} %`
    return [
      `${this.statements} statements in ${seconds.toFixed(1)} s: ${(this.statements / seconds).toFixed(0)} a second`,
      `refused ${share(this.refused, this.statements)} of all, ${share(this.refusedOverMasked, this.overMasked)} of those that name a relation with masked columns`,
      `failed at the server ${share(this.failed, this.statements)}`,
      `of ${this.sampleClean} programs that show no masked value: refused ${share(this.sampleCleanRefused, this.sampleClean)}, changed ${share(this.sampleCleanChanged, this.sampleClean)}; ${this.sampleSecret} programs of the sample show one`,
      'of those that name a relation with masked columns, refused because',
      ...sorted(this.kinds).map(([kind, count]) => {
        const note = byDesign.has(kind) ? ', which is what the rule says' : ''
        return `  ${share(count, this.overMasked)}  ${kind}${note}`
      }),
      'by the first reason',
      ...sorted(this.reasons)
        .slice(0, reasonsMax)
        .map(([reason, count]) => `  ${share(count, this.overMasked)}  ${reason}`),
    ]
  }
}

/** More are not read. */
const reasonsMax = 20

function add<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function sorted<Key>(counts: ReadonlyMap<Key, number>): (readonly [Key, number])[] {
  return [...counts].toSorted(([, a], [, b]) => b - a)
}
