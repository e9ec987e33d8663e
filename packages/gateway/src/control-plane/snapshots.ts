import type { Policy, Secret } from '@sallyport/core'
import type { Snapshot } from '../boundary/snapshot.ts'
import type { Connections } from './connections.ts'
import type { PolicyFile } from './policies/load-policy-folder.ts'
import { PolicyVersions } from './policies/policy-versions.ts'
import type { Store } from './ports/store.ts'

/** Puts together what workers serve from. */
export class Snapshots {
  readonly #connections: Connections
  readonly #maskKey: Secret<Buffer>
  readonly policyVersions: PolicyVersions
  #files: readonly PolicyFile[] = []
  #version = 0
  #policies: readonly Policy[] = []
  #policyVersion = 0
  #policyDigest = ''
  /** Where persons answer requests for approval; set once that is known. */
  approvalUrl: () => string | undefined = () => undefined

  constructor(store: Store, connections: Connections, maskKey: Secret<Buffer>) {
    this.#connections = connections
    this.#maskKey = maskKey
    this.policyVersions = new PolicyVersions(store)
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

  /** The files that the policies were read from. */
  get policyFiles(): readonly PolicyFile[] {
    return this.#files
  }

  get ruleCount(): number {
    return this.#policies.reduce((sum, policy) => sum + policy.rules.length, 0)
  }

  /** Puts policies in force; see `PolicyVersions.keep`. */
  async usePolicies(
    policies: readonly Policy[],
    files: readonly PolicyFile[],
    author: string,
  ): Promise<void> {
    const { version, digest } = await this.policyVersions.keep(policies, files, author)
    this.#policies = policies
    this.#files = files
    this.#policyVersion = version
    this.#policyDigest = digest
  }

  async build(): Promise<Snapshot> {
    this.#version += 1
    const version = this.#version
    const connections = await this.#connections.configs()
    const approvalUrl = this.approvalUrl()
    return {
      version,
      policyVersion: this.#policyVersion,
      connections,
      policies: this.#policies,
      maskKey: this.#maskKey.expose().toString('base64'),
      ...(approvalUrl === undefined ? {} : { approvalUrl }),
    }
  }
}
