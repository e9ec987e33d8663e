export { WireError } from './wire-error.ts'
export {
  FrameSplitter,
  SHORT_BODY_BYTES_MAX,
  frameBody,
  frameEnd,
  frameType,
} from './postgres/frame-splitter.ts'
export {
  BackendType,
  FrontendType,
  LONG_BACKEND_TYPES,
  LONG_FRONTEND_TYPES,
} from './postgres/message-types.ts'
export { sniffFirstBytes, type FirstBytes } from './postgres/sniff-first-bytes.ts'
export * from './postgres/startup.ts'
export * from './postgres/frontend-message.ts'
export * from './postgres/backend-message.ts'
export * from './postgres/query.ts'
export * from './postgres/copy.ts'
export * from './postgres/auth.ts'
export * from './postgres/session.ts'
export * from './postgres/response.ts'
export * from './postgres/diagnostic.ts'
export * from './postgres/copy-rows.ts'
export type { CopyOptions, CopyRow, CopyRowEncoder } from './postgres/copy-row.ts'
export { encodeCopyBinaryHeader, encodeCopyBinaryTrailer } from './postgres/copy-binary.ts'
