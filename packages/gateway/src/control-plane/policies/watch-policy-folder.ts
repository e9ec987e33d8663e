import { loadPolicyFolder, type LoadedPolicies } from './load-policy-folder.ts'
import { type FolderWatch, watchFolder } from './watch-folder.ts'

/** Reloads the folder when a file changes. A refused load is reported like any other: the caller keeps the policies it has. */
export async function watchPolicyFolder(
  dir: string,
  onChange: (loaded: LoadedPolicies) => void,
): Promise<FolderWatch> {
  return watchFolder(dir, () => loadOrProblem(dir), onChange)
}

async function loadOrProblem(dir: string): Promise<LoadedPolicies> {
  try {
    return await loadPolicyFolder(dir)
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown'
    const place = { file: dir, line: 1, column: 1, length: 1, path: '', sourceLine: '', hint: '' }
    const message = `the policy folder cannot be read: ${why}`
    return { kind: 'refused', problems: [{ message, ...place }] }
  }
}
