import { createHash } from 'node:crypto'
import type { Policy, Secret } from '@sallyport/core'
import type { Snapshot } from '../boundary/snapshot.ts'
import type { Connections } from './connections.ts'
import type { Store } from './ports/store.ts'
import { readSetting, writeSetting } from './settings.ts'

const policyVersionSetting = 'policy_version'

/** Puts together what workers serve from. */
export class Snapshots {
  readonly #connections: Connections
  readonly #store: Store
  readonly #maskKey: Secret<Buffer>
  #version = 0
  #policies: readonly Policy[] = []
  #policyVersion = 0
  #policyDigest = ''

  constructor(store: Store, connections: Connections, maskKey: Secret<Buffer>) {
    this.#store = store
    this.#connections = connections
    this.#maskKey = maskKey
  }

  get policyVersion(): number {
    return this.#policyVersion
  }

  /** SHA-256 of the policies as they were understood, hexadecimal. */
  get policyDigest(): string {
    return this.#policyDigest
  }

  get policies(): readonly Policy[] {
    return this.#policies
  }

  get ruleCount(): number {
    return this.#policies.reduce((sum, policy) => sum + policy.rules.length, 0)
  }

  /** The policy version grows when the policies differ from those of before, also over restarts: recordings name it. */
  async usePolicies(policies: readonly Policy[]): Promise<void> {
    const digest = createHash('sha256').update(JSON.stringify(policies)).digest('hex')
    const known = storedVersion(await readSetting(this.#store, policyVersionSetting))
    const version = known.digest === digest ? known.version : known.version + 1
    if (version !== known.version)
      await writeSetting(this.#store, policyVersionSetting, { version, digest })
    this.#policies = policies
    this.#policyVersion = version
    this.#policyDigest = digest
  }

  async build(): Promise<Snapshot> {
    this.#version += 1
    const version = this.#version
    const connections = await this.#connections.configs()
    return {
      version,
      policyVersion: this.#policyVersion,
      connections,
      policies: this.#policies,
      maskKey: this.#maskKey.expose().toString('base64'),
    }
  }
}

function storedVersion(value: unknown): { version: number; digest: string } {
  if (typeof value === 'object' && value !== null && 'version' in value && 'digest' in value) {
    return { version: Number(value.version), digest: String(value.digest) }
  }
  return { version: 0, digest: '' }
}
