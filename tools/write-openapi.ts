/** Writes docs/openapi.json anew: `npm run write:openapi`. A test compares it with what the gateway hands out. */
import { writeFileSync } from 'node:fs'
import { openApiDocument } from '../packages/gateway/src/control-plane/api/openapi.ts'

writeFileSync('docs/openapi.json', `${JSON.stringify(openApiDocument(), undefined, 2)}\n`)
