import {
  checkAssigned,
  checkDni,
  checkEntropy,
  checkIban,
  checkInsee,
  checkIpv4,
  checkIpv6,
  checkMrz,
  checkNino,
  checkPhone,
  checkSsn,
  checkTaxIdDe,
  type Check,
} from './checks.ts'
import { SIGN } from './signs.ts'

/** One form of a detector. `signs` and `digits` are what a value must contain before the pattern is tried at all. */
export interface DetectorForm {
  readonly signs: number
  readonly digits: number
  readonly pattern: RegExp
  readonly check?: Check
  /** True for payment cards, where one run of digits is searched for numbers inside. */
  readonly card?: boolean
}

// Every repetition is bounded or can't overlap with what follows it, so that the cost stays linear in the value.
const form = (signs: number, digits: number, pattern: RegExp, check?: Check): DetectorForm =>
  check === undefined ? { signs, digits, pattern } : { signs, digits, pattern, check }

const personal: Readonly<Record<string, readonly DetectorForm[]>> = {
  email: [
    form(
      SIGN.at | SIGN.dot,
      0,
      // Starts where a run of such characters does: from each place in it, a long run would be read again.
      /(?<![A-Za-z0-9._%+'-])[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}\.[A-Za-z]{2,24}/g,
    ),
  ],
  phone: [
    form(SIGN.plus, 8, /(?<![0-9A-Za-z+])\+[1-9](?:[ .()-]{0,2}[0-9]){7,14}(?![0-9])/g, checkPhone),
  ],
  credit_card: [{ signs: 0, digits: 13, pattern: /[0-9](?:[ -]?[0-9]){12,}/g, card: true }],
  iban: [form(0, 4, /(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,31}/g, checkIban)],
  ssn_us: [form(0, 9, /(?<![0-9-])[0-9]{3}([- ])[0-9]{2}\1[0-9]{4}(?![0-9-])/g, checkSsn)],
  nino_uk: [
    form(
      0,
      6,
      /(?<![A-Za-z0-9])[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D](?![A-Za-z0-9])/gi,
      checkNino,
    ),
  ],
  tax_id_de: [
    form(0, 11, /(?<![0-9])[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}(?![0-9])/g, checkTaxIdDe),
  ],
  insee_fr: [
    form(
      0,
      13,
      /(?<![0-9])[1-478] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}(?![0-9])/gi,
      checkInsee,
    ),
  ],
  dni_es: [
    form(0, 7, /(?<![A-Za-z0-9])(?:[0-9]{8}|[XYZ]-?[0-9]{7})[ -]?[A-Z](?![A-Za-z0-9])/gi, checkDni),
  ],
  passport_mrz: [
    form(
      SIGN.angle,
      3,
      /(?:P[A-Z<][A-Z<]{42}\s{1,4})?(?<![A-Z0-9<])[A-Z0-9<]{9}[0-9][A-Z<]{3}[0-9]{7}[MFX<][0-9]{7}[A-Z0-9<]{14}[0-9<][0-9]/g,
      checkMrz,
    ),
  ],
  ip: [
    form(
      SIGN.dot,
      4,
      /(?<![0-9.])[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?!\.?[0-9])/g,
      checkIpv4,
    ),
    form(SIGN.colon, 0, /(?<![0-9A-Za-z:])[0-9A-Fa-f:]{3,39}(?![0-9A-Za-z:])/g, checkIpv6),
  ],
  mac: [
    form(
      0,
      0,
      /(?<![0-9A-Fa-f:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:-])/g,
    ),
    form(
      SIGN.dot,
      0,
      /(?<![0-9A-Fa-f.])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![0-9A-Fa-f.])/g,
    ),
  ],
}

const secret: Readonly<Record<string, readonly DetectorForm[]>> = {
  private_key: [
    form(
      SIGN.dash,
      0,
      /-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----|$)/g,
    ),
  ],
  // A header that stops at the next `eyJ` keeps a text full of them linear.
  jwt: [
    form(
      SIGN.jwt | SIGN.dot,
      0,
      /eyJ(?:(?!eyJ)[A-Za-z0-9_-]){8,8192}\.eyJ[A-Za-z0-9_-]{2,65536}\.[A-Za-z0-9_-]*/g,
    ),
  ],
  aws_key: [
    form(SIGN.capitalA, 0, /(?<![A-Z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Z0-9])/g),
  ],
  gcp_key: [
    form(SIGN.capitalA, 0, /AIza[A-Za-z0-9_-]{35}/g),
    form(SIGN.dash, 0, /GOCSPX-[A-Za-z0-9_-]{28}/g),
  ],
  azure_key: [
    form(SIGN.equals, 0, /(?:AccountKey|SharedAccessKey|sig)=[A-Za-z0-9+/%]{40,120}={0,2}/gi),
  ],
  github_token: [
    form(SIGN.underscore, 0, /gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}/g),
  ],
  gitlab_token: [form(SIGN.dash, 0, /gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_.-]{20,64}/g)],
  slack_token: [
    form(SIGN.dash, 0, /xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-[0-9]-[A-Za-z0-9-]{10,250}/g),
  ],
  stripe_key: [
    form(
      SIGN.underscore,
      0,
      /(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,247}|whsec_[A-Za-z0-9+/]{24,64}/g,
    ),
  ],
  openai_key: [
    form(
      SIGN.dash,
      0,
      /(?<![A-Za-z0-9])sk-(?!ant-)(?:proj-|svcacct-|admin-|None-)?[A-Za-z0-9_-]{32,256}/g,
    ),
  ],
  anthropic_key: [form(SIGN.dash, 0, /sk-ant-[A-Za-z0-9_-]{20,256}/g)],
  npm_token: [form(SIGN.underscore, 0, /npm_[A-Za-z0-9]{36}/g)],
  connection_url: [
    form(
      SIGN.colon | SIGN.at,
      0,
      /(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]+:\/\/[^\s:/?#@"'<>\\]{0,256}:[^\s/?#@"'<>\\]{1,1024}@[!#-&(-;=?-[\]-~]{1,2048}/g,
    ),
  ],
  basic_auth: [form(SIGN.scheme, 0, /(?<![A-Za-z0-9])Basic {1,4}[A-Za-z0-9+/]{8,4096}={0,2}/gi)],
  bearer_token: [
    form(SIGN.scheme, 0, /(?<![A-Za-z0-9])Bearer {1,4}[A-Za-z0-9._~+/-]{16,}={0,2}/gi),
  ],
  // `password=…`, `"api_key": "…"`, `SECRET_ACCESS_KEY: …`
  generic_secret: [
    form(
      SIGN.equals,
      0,
      /(?:pass(?:word|wd|phrase)|pwd|secret(?:[_-]?(?:access[_-]?)?key)?|(?:api|access|auth|private|signing|client|encryption)[_-]?(?:key|token|secret)|token)["']?[ \t]{0,4}=>?[ \t]{0,4}["']?[^\s"',;&<>]{6,}/gi,
      checkAssigned,
    ),
    form(
      SIGN.colon,
      0,
      /(?:pass(?:word|wd|phrase)|pwd|secret(?:[_-]?(?:access[_-]?)?key)?|(?:api|access|auth|private|signing|client|encryption)[_-]?(?:key|token|secret)|token)["']?[ \t]{0,4}:=?[ \t]{0,4}["']?[^\s"',;&<>]{6,}/gi,
      checkAssigned,
    ),
  ],
}

/** They find what looks like a secret and may be none, so no group stands for them. */
const guessed: Readonly<Record<string, readonly DetectorForm[]>> = {
  high_entropy: [
    form(0, 3, /(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{24,}={0,2}(?![A-Za-z0-9])/g, checkEntropy),
  ],
}

/** Every detector by name. */
export const DETECTORS: ReadonlyMap<string, readonly DetectorForm[]> = new Map([
  ...Object.entries(personal),
  ...Object.entries(secret),
  ...Object.entries(guessed),
])

/** Names that stand for several detectors. */
export const DETECTOR_GROUPS: ReadonlyMap<string, readonly string[]> = new Map([
  ['pii', Object.keys(personal)],
  ['secret', Object.keys(secret)],
])

/** What is wrong with the name of a detector in a policy; undefined where nothing is. */
export function validateDetector(name: string): string | undefined {
  if (DETECTORS.has(name) || DETECTOR_GROUPS.has(name)) return undefined
  const known = [...DETECTOR_GROUPS.keys(), ...DETECTORS.keys()].join(', ')
  return `there is no detector "${name}". Detectors: ${known}.`
}

/** Replaces the names of groups by their members. An unknown name throws: a rule must not silently look for less. */
export function expandDetectors(names: readonly string[]): readonly string[] {
  const expanded = new Set<string>()
  for (const name of names) {
    const problem = validateDetector(name)
    if (problem !== undefined) throw new RangeError(problem)
    for (const member of DETECTOR_GROUPS.get(name) ?? [name]) expanded.add(member)
  }
  return [...expanded]
}
