import { X509Certificate, createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { der } from './der.ts'
import { secretFile } from './secret-file.ts'

/** PEM texts. */
export interface CertificatePair {
  readonly cert: string
  readonly key: string
}

const validYears = 5
/** A certificate this close to its end is replaced at the next start. */
const renewBeforeMs = 30 * 24 * 3600 * 1000
/** Clocks of callers may run behind. */
const clockSkewMs = 3600 * 1000

/** Reads the listener's self-signed certificate from `listener.pem` in the data folder; makes a new one when it is absent or about to expire. */
export async function currentCertificate(
  dataDir: string,
  now: Date = new Date(),
): Promise<CertificatePair> {
  const path = join(dataDir, 'listener.pem')
  // Key and certificate share one file, so that they can't come from two different starts.
  const make = (): string => {
    const made = selfSignedCertificate(now)
    return made.key + made.cert
  }
  const pair = splitPem(await secretFile(path, make))
  if (Date.parse(new X509Certificate(pair.cert).validTo) - now.getTime() > renewBeforeMs)
    return pair
  await rm(path)
  return splitPem(await secretFile(path, make))
}

function splitPem(text: string): CertificatePair {
  const at = text.indexOf('-----BEGIN CERTIFICATE-----')
  return { key: text.slice(0, at), cert: text.slice(at) }
}

/** Makes a P-256 key and a certificate for localhost, 127.0.0.1 and ::1, which every common client can verify. */
export function selfSignedCertificate(now: Date): CertificatePair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const body = certificateBody(spki, now)
  const signature = sign('sha256', body, privateKey)
  const certificate = der.sequence(body, ecdsaWithSha256, der.bits(signature))
  return {
    cert: pem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

const ecdsaWithSha256 = der.sequence(der.oid('1.2.840.10045.4.3.2'))

function certificateBody(spki: Buffer, now: Date): Buffer {
  const name = der.sequence(
    der.set(der.sequence(der.oid('2.5.4.3'), der.utf8('Sallyport listener'))),
  )
  const end = new Date(now)
  end.setUTCFullYear(end.getUTCFullYear() + validYears)
  return der.sequence(
    der.explicit(0, der.integer(Buffer.of(2))),
    der.integer(Buffer.concat([Buffer.of(1), randomBytes(15)])),
    ecdsaWithSha256,
    name,
    der.sequence(der.time(new Date(now.getTime() - clockSkewMs)), der.time(end)),
    name,
    spki,
    der.explicit(3, der.sequence(...extensions(spki))),
  )
}

function extensions(spki: Buffer): Buffer[] {
  const dnsName = 2
  const ipAddress = 7
  const names = der.sequence(
    der.implicit(dnsName, Buffer.from('localhost')),
    der.implicit(ipAddress, Buffer.of(127, 0, 0, 1)),
    der.implicit(ipAddress, Buffer.concat([Buffer.alloc(15), Buffer.of(1)])),
  )
  const keyId = createHash('sha256').update(spki).digest().subarray(0, 20)
  return [
    extension('2.5.29.17', false, names),
    // A certificate that is its own root must be marked as a CA, or strict clients refuse it as one.
    extension('2.5.29.19', true, der.sequence(der.boolean(true))),
    // digitalSignature and keyCertSign: bits 0 and 5, so two bits of the byte stay unused.
    extension('2.5.29.15', true, der.bits(Buffer.of(0b1000_0100), 2)),
    extension('2.5.29.37', false, der.sequence(der.oid('1.3.6.1.5.5.7.3.1'))),
    extension('2.5.29.14', false, der.octets(keyId)),
  ]
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [der.boolean(true)] : []
  return der.sequence(der.oid(oid), ...flag, der.octets(value))
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
