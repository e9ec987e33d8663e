export { matchesColumn, matchesGlob } from '@sallyport/core'
