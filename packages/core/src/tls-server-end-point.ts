import { createHash } from 'node:crypto'

/**
 * RFC 5929 section 4: the certificate hashed with the hash of its own signature; SHA-256 in place of MD5 and SHA-1.
 * Where a signature has no hash of its own (Ed25519) the RFC says nothing, and we take SHA-256.
 */
export function tlsServerEndPoint(certDer: Buffer): Buffer {
  return createHash(signatureHash(certDer)).update(certDer).digest()
}

type HashName = 'sha224' | 'sha256' | 'sha384' | 'sha512'

/** Contents of object identifiers, in hexadecimal. */
const signatureHashes: ReadonlyMap<string, HashName> = new Map<string, HashName>([
  ['2a864886f70d01010b', 'sha256'], // sha256WithRSAEncryption
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2a864886f70d01010e', 'sha224'],
  ['2a8648ce3d040301', 'sha224'], // ecdsa-with-SHA224
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
])
const rsaPss = '2a864886f70d01010a'
/** RSA-PSS names its hash in its parameters, before the hash of its mask: id-sha256 and so on. */
const hashOids: ReadonlyMap<string, HashName> = new Map<string, HashName>([
  ['608648016503040204', 'sha224'],
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
])
const hashOidPrefix = Buffer.from('6086480165030402', 'hex')

function signatureHash(certDer: Buffer): HashName {
  // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, parameters }, signature }
  const certificate = readElement(certDer, 0)
  const tbs = readElement(certDer, certificate.start)
  const algorithm = readElement(certDer, tbs.end)
  const oid = readElement(certDer, algorithm.start)
  const name = certDer.toString('hex', oid.start, oid.end)
  if (name === rsaPss) return pssHash(certDer.subarray(oid.end, algorithm.end))
  return signatureHashes.get(name) ?? 'sha256'
}

function pssHash(parameters: Buffer): HashName {
  const at = parameters.indexOf(hashOidPrefix)
  if (at === -1) return 'sha256'
  const oid = parameters.toString('hex', at, at + hashOidPrefix.length + 1)
  return hashOids.get(oid) ?? 'sha256'
}

/** Where the contents of a DER element begin and end. */
function readElement(der: Buffer, at: number): { readonly start: number; readonly end: number } {
  const first = der.readUInt8(at + 1)
  if (first < 0x80) return { start: at + 2, end: at + 2 + first }
  const lengthBytes = first & 0x7f
  const start = at + 2 + lengthBytes
  return { start, end: start + der.readUIntBE(at + 2, lengthBytes) }
}
