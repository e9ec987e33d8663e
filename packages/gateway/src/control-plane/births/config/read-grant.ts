import { type GrantLayer, type Permission } from '@sallyport/core'
import { FieldReader } from '../../policies/field-reader.ts'
import type { AgentProfile, Grant, GrantTarget } from './identity-config.ts'
import {
  readBudget,
  readClasses,
  readClient,
  readDelegate,
  readTargets,
  readWindow,
} from './read-values.ts'

/** Reads the `spec` of a `Grant`. */
export function readGrant(name: string, node: unknown, spec: FieldReader): Grant {
  const known = ['to', 'on', 'allow', 'window', 'budget', 'delegate', 'client']
  const read = new FieldReader(spec.source, node, 'spec', known)
  for (const field of ['to', 'on', 'allow']) read.require(field)
  const to = read.texts('to')
  if (read.has('to') && to.length === 0) read.report('to', 'this names nobody')
  for (const who of to) {
    if (!/^(?:group|user|trust|service):./u.test(who)) {
      read.report('to', `"${who}" is not user:name, group:name, trust:rule or service:name`)
    }
  }
  const window = readWindow(read)
  const client = readClient(read)
  return {
    name,
    to,
    on: readOn(read, true),
    classes: readClasses(read),
    ...(window === undefined ? {} : { window }),
    ...(client === undefined ? {} : { client }),
    budget: readBudget(read),
    delegate: readDelegate(read),
  }
}

/** Reads the `spec` of an `AgentProfile`. */
export function readAgentProfile(name: string, node: unknown, spec: FieldReader): AgentProfile {
  const read = new FieldReader(spec.source, node, 'spec', [
    'owner',
    'purpose',
    'ceiling',
    'delegate',
  ])
  read.require('ceiling')
  const permits = read.items('ceiling').flatMap((item) => {
    const part = new FieldReader(read.source, item.node, item.path, ['on', 'allow'])
    for (const field of ['on', 'allow']) part.require(field)
    const classes = readClasses(part)
    // A ceiling goes with the agent for its whole life, so labels, which change, can't be in it.
    return readOn(part, false).map((target) => permissionOf(target, target.connections, classes))
  })
  if (read.has('ceiling') && permits.length === 0) read.report('ceiling', 'this allows nothing')
  const owner = read.text('owner')
  const purpose = read.text('purpose')
  const ceiling: GrantLayer = { permits }
  return {
    name,
    ...(owner === undefined ? {} : { owner }),
    ...(purpose === undefined ? {} : { purpose }),
    ceiling,
    delegate: readDelegate(read),
  }
}

/** The permit of a target for the connections that it stands for now. */
export function permissionOf(
  target: GrantTarget,
  connections: readonly string[],
  classes: readonly string[],
): Permission {
  const { dimensions, rowsMax } = target
  return { connections, classes, dimensions, ...(rowsMax === undefined ? {} : { rowsMax }) }
}

function readOn(read: FieldReader, labelsAllowed: boolean): GrantTarget[] {
  const on = readTargets(read, labelsAllowed)
  if (read.has('on') && on.length === 0) read.report('on', 'this names no connection')
  return on
}
