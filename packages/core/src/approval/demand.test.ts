import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import {
  areMet,
  refusalOfApprover,
  sameDemands,
  withinOf,
  type ApprovalDemand,
  type Approver,
  type Requester,
  type RuleDemand,
} from './demand.ts'

const requester: Requester = { rootId: 'p_dana', rootIsHuman: true, agents: new Set(['a_root']) }

function demand(over: Partial<ApprovalDemand> = {}, rule = 'p/r'): RuleDemand {
  const usual = { withinMs: 600_000, offer: ['once'], shapeRowsMax: 1000 }
  const who = { from: ['group:dba'], count: 1, selfRoot: 'deny', wait: 'hold' } as const
  return { rule, message: '', demand: { ...usual, ...who, ...over } }
}

function person(name: string, ...groups: string[]): Approver {
  const id = `p_${name}`
  return { id, kind: 'person', principal: id, name, groups }
}

suite('who may approve', () => {
  test('is who is named: by a group, by name or id, as the owner', () => {
    const named = (approver: Approver, ...from: string[]): boolean =>
      areMet([demand({ from })], [approver], requester)
    assert.equal(named(person('maria', 'dba'), 'group:dba'), true)
    assert.equal(named(person('maria', 'sre'), 'group:dba'), false)
    assert.equal(named(person('dba'), 'group:dba'), false)
    assert.equal(named(person('maria'), 'user:maria'), true)
    assert.equal(named(person('maria'), 'user:p_maria'), true)
    assert.equal(named(person('maria'), 'owner'), false)
    assert.equal(named({ ...person('olga'), kind: 'owner' }, 'owner'), true)
    assert.equal(named({ ...person('olga'), kind: 'owner' }, 'group:dba'), false)
  })

  test('is no agent, but one that the rule names, by its id or below its principal, and that is of another tree', () => {
    const agent: Approver = { ...person('bot', 'dba'), id: 'a_bot', kind: 'agent', name: 'bot' }
    const from = ['agent:bot@p_bot']
    assert.equal(areMet([demand()], [agent], requester), false)
    assert.equal(areMet([demand({ from })], [agent], requester), true)
    assert.equal(areMet([demand({ from: ['agent:a_bot'] })], [agent], requester), true)
    // Anybody may call an agent so.
    assert.equal(areMet([demand({ from: ['agent:bot'] })], [agent], requester), false)
    const impostor = { ...agent, id: 'a_imp', principal: 'p_eve' }
    assert.equal(areMet([demand({ from })], [impostor], requester), false)
    const own = { ...requester, agents: new Set(['a_bot']) }
    assert.equal(areMet([demand({ from })], [agent], own), false)
    assert.equal(refusalOfApprover(agent, [demand({ from })], own), 'own-request')
    // A person who bears the agent's name is none.
    assert.equal(areMet([demand({ from })], [person('bot')], requester), false)
    assert.equal(areMet([demand({ from: ['user:bot'] })], [agent], requester), false)
  })

  test('is no agent of the person at the root either, in whatever tree, and counts with its person as one', () => {
    const agent: Approver = { ...person('dana'), id: 'a_other', kind: 'agent', name: 'other' }
    const from = ['agent:other@p_dana', 'user:dana']
    assert.equal(areMet([demand({ from })], [agent], requester), false)
    assert.equal(refusalOfApprover(agent, [demand({ from })], requester), 'own-request')
    const allowed = demand({ from, selfRoot: 'allow' })
    assert.equal(areMet([allowed], [agent], requester), true)
    const two = demand({ from, selfRoot: 'allow', count: 2 })
    assert.equal(areMet([two], [agent, person('dana')], requester), false)
    assert.equal(areMet([two], [agent, person('dana'), person('maria')], requester), false)
    const three = demand({ from: [...from, 'user:maria'], selfRoot: 'allow', count: 2 })
    assert.equal(areMet([three], [agent, person('dana'), person('maria')], requester), true)
  })

  test('is not the person at the root, but where the rule says so', () => {
    const dana = person('dana', 'dba')
    assert.equal(areMet([demand()], [dana], requester), false)
    assert.equal(refusalOfApprover(dana, [demand()], requester), 'own-request')
    assert.equal(areMet([demand({ selfRoot: 'allow' })], [dana], requester), true)
    const workload = { ...requester, rootIsHuman: false }
    assert.equal(areMet([demand({ selfRoot: 'allow' })], [dana], workload), false)
    assert.equal(refusalOfApprover(person('eve'), [demand()], requester), 'not-named')
    assert.equal(refusalOfApprover(person('maria', 'dba'), [demand()], requester), undefined)
  })
})

suite('demands', () => {
  test('are met by as many as they count, and each person is one', () => {
    const two = [demand({ count: 2 })]
    const maria = person('maria', 'dba')
    assert.equal(areMet(two, [maria], requester), false)
    assert.equal(areMet(two, [maria, maria], requester), false)
    assert.equal(areMet(two, [maria, { ...maria, name: 'Maria' }], requester), false)
    assert.equal(areMet(two, [maria, person('ben', 'dba')], requester), true)
    assert.equal(areMet([], [maria], requester), false)
  })

  test('add up: one person counts for one of them', () => {
    const both = [demand({}, 'p/a'), demand({ from: ['group:sre'] }, 'p/b')]
    const maria = person('maria', 'dba', 'sre')
    assert.equal(areMet(both, [maria], requester), false)
    assert.equal(areMet(both, [maria, person('ben', 'dba')], requester), true)
    assert.equal(areMet(both, [person('ben', 'dba'), person('tom', 'dba')], requester), false)
  })

  test('are what a search of all ways finds, and another one never makes them easier', () => {
    const group = fc.constantFrom('a', 'b', 'c')
    const anyDemands = fc.array(
      fc
        .record({
          from: fc.uniqueArray(group, { minLength: 1 }),
          count: fc.integer({ min: 1, max: 2 }),
        })
        .map(({ from, count }) => demand({ from: from.map((each) => `group:${each}`), count })),
      { minLength: 1, maxLength: 3 },
    )
    const anyPeople = fc
      .array(fc.uniqueArray(group), { maxLength: 5 })
      .map((all) => all.map((groups, n) => person(`n${n}`, ...groups)))
    fc.assert(
      fc.property(anyDemands, anyPeople, anyDemands, (demands, people, more) => {
        assert.equal(areMet(demands, people, requester), bySearch(demands, people))
        if (areMet([...demands, ...more], people, requester))
          assert.equal(areMet(demands, people, requester), true)
      }),
    )
  })

  test('end with the shortest time, and differ by what they ask for', () => {
    assert.equal(withinOf([demand({ withinMs: 5 }), demand({ withinMs: 3 })]), 3)
    assert.equal(sameDemands([demand()], [{ ...demand(), message: 'other' }]), true)
    assert.equal(
      sameDemands([demand({}, 'a'), demand({}, 'b')], [demand({}, 'b'), demand({}, 'a')]),
      true,
    )
    const others: Partial<ApprovalDemand>[] = [
      { from: ['group:sre'] },
      { count: 2 },
      { selfRoot: 'allow' },
      { wait: 'return' },
    ]
    for (const over of others) assert.equal(sameDemands([demand()], [demand(over)]), false)
    assert.equal(sameDemands([demand()], [demand({}, 'p/other')]), false)
    assert.equal(sameDemands([demand()], []), false)
  })
})

/** Gives each person to each place in turn. */
function bySearch(demands: readonly RuleDemand[], people: readonly Approver[]): boolean {
  const places = demands.flatMap((each) => Array.from({ length: each.demand.count }, () => each))
  const fill = (place: number, free: readonly Approver[]): boolean => {
    const wanted = places[place]
    if (wanted === undefined) return true
    return free.some(
      (each) =>
        each.groups.some((group) => wanted.demand.from.includes(`group:${group}`)) &&
        fill(
          place + 1,
          free.filter((other) => other !== each),
        ),
    )
  }
  return fill(0, people)
}
