import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SallyportError } from '@sallyport/core'
import type { GatewayPlace } from './protocol.ts'

/** Where a gateway takes API calls and links, and what its certificate must be. */
export interface GatewayAddress {
  readonly api: string
  readonly host: string
  readonly port: number
  /** SHA-256 of the certificate; absent where it is checked against the system's authorities. */
  readonly certSha256: string | undefined
}

const portPostgresDefault = 15_432

/** The place that a person names: `gw.example.com`, an address, or nothing for the gateway of the data folder. */
export function placeOf(gateway: string | undefined, dataDir: string): GatewayPlace {
  if (gateway === undefined) return { dataDir }
  const url = URL.parse(gateway.includes('://') ? gateway : `https://${gateway}`)
  if (url !== null) return { url: url.origin }
  throw new SallyportError('SP_CONFIG_INVALID', `"${gateway}" is not the address of a gateway`)
}

/** A gateway on this machine says in its data folder where it is; read anew each time, since a restart may move it. */
export async function addressOf(place: GatewayPlace): Promise<GatewayAddress> {
  if ('url' in place) {
    const { origin, hostname } = new URL(place.url)
    return { api: origin, host: hostname, port: portPostgresDefault, certSha256: undefined }
  }
  const path = join(place.dataDir, 'gateway.json')
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new SallyportError('SP_GATEWAY_UNREACHABLE', `no gateway runs on ${place.dataDir}`, {
      cause,
    })
  })
  const announced: unknown = JSON.parse(text)
  if (!isAnnouncement(announced)) {
    throw new SallyportError('SP_GATEWAY_UNREACHABLE', `${path} does not say where the gateway is`)
  }
  const { url, postgres, certSha256 } = announced
  return { api: url, host: postgres.host, port: postgres.port, certSha256 }
}

interface Announcement {
  readonly url: string
  readonly postgres: { readonly host: string; readonly port: number }
  readonly certSha256: string
}

function isAnnouncement(value: unknown): value is Announcement {
  if (typeof value !== 'object' || value === null) return false
  if (!('url' in value && 'postgres' in value && 'certSha256' in value)) return false
  const { url, postgres, certSha256 } = value
  if (typeof url !== 'string' || typeof certSha256 !== 'string') return false
  if (typeof postgres !== 'object' || postgres === null) return false
  return 'host' in postgres && 'port' in postgres && typeof postgres.port === 'number'
}
