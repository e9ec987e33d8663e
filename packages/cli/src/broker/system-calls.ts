import { once } from 'node:events'
import { closeSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'

/** Who is at the other end of a Unix socket. */
export interface Peer {
  readonly pid: number
  readonly uid: number
  /** False once the process that connected is gone: its number may then belong to another. */
  readonly stillThere: () => boolean
}

/** System calls that Node does not have. */
export interface SystemCalls {
  peerOf(socket: Socket): Peer | undefined
  /** Memory and `/proc` entries of this process are closed to others of the same user. */
  beNotDumpable(): boolean
  /** Orphans below this process become its children and not those of process 1. */
  beSubreaper(): boolean
  /** Takes the exit status of one child that has ended, and only of that. */
  reap(pid: number): void
}

const SOL_SOCKET = 1
const SO_PEERCRED = 17
/** Linux 6.5 and newer. */
const SO_PEERPIDFD = 77
const PR_SET_DUMPABLE = 4
const PR_SET_CHILD_SUBREAPER = 36
/** The same number on every architecture. */
const SYS_pidfd_send_signal = 424
const WNOHANG = 1

type Call = (...values: readonly unknown[]) => unknown

/** Loads the system calls, or says why they are not to be had here. */
export async function loadSystemCalls(): Promise<SystemCalls | string> {
  if (process.platform !== 'linux') return `there is no peer check on ${process.platform}`
  try {
    const { default: koffi } = await import('koffi')
    const libc = koffi.load('libc.so.6')
    return systemCalls({
      getsockopt: libc.func(
        'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)',
      ),
      prctl: libc.func(
        'int prctl(int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
      ),
      waitpid: libc.func('int waitpid(int pid, void *status, int options)'),
      syscall: libc.func('long syscall(long number, long a, long b, void *c, long d)'),
    })
  } catch (error) {
    return `the optional package koffi does not load: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`
  }
}

function systemCalls(libc: {
  readonly getsockopt: Call
  readonly prctl: Call
  readonly waitpid: Call
  readonly syscall: Call
}): SystemCalls {
  const option = (fd: number, name: number, bytes: number): Buffer | undefined => {
    const value = Buffer.alloc(bytes)
    return libc.getsockopt(fd, SOL_SOCKET, name, value, [bytes]) === 0 ? value : undefined
  }
  return {
    peerOf(socket) {
      const fd = descriptorOf(socket)
      const value = fd === undefined ? undefined : option(fd, SO_PEERCRED, 12)
      if (fd === undefined || value === undefined) return undefined
      const pidfd = option(fd, SO_PEERPIDFD, 4)?.readInt32LE(0)
      const stillThere = (): boolean => {
        // Older kernels have no such descriptor; the start time is then all there is.
        if (pidfd === undefined) return true
        const alive = Number(libc.syscall(SYS_pidfd_send_signal, pidfd, 0, null, 0)) === 0
        closeSync(pidfd)
        return alive
      }
      return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), stillThere }
    },
    beNotDumpable: () => libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) === 0,
    beSubreaper: () => libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) === 0,
    reap: (pid) => void libc.waitpid(pid, null, WNOHANG),
  }
}

/** Node keeps the descriptor to itself; this is the one place that reaches for it, and the self-test proves it. */
function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle')
  if (typeof handle !== 'object' || handle === null) return undefined
  const fd: unknown = Reflect.get(handle, 'fd')
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}

/** Connects to itself and looks whether it recognises itself. Gives what is wrong, or nothing. */
export async function selfTest(calls: SystemCalls, folder: string): Promise<string | undefined> {
  const path = join(folder, `test-${process.pid}.sock`)
  const server = createServer({ pauseOnConnect: true })
  try {
    server.listen(path)
    await once(server, 'listening')
    const outgoing = connect(path)
    const [accepted]: Socket[] = await once(server, 'connection')
    const peer = accepted === undefined ? undefined : calls.peerOf(accepted)
    const right = peer?.pid === process.pid && peer.uid === process.getuid?.() && peer.stillThere()
    outgoing.destroy()
    accepted?.destroy()
    return right ? undefined : 'the system does not say who is at the other end of a socket'
  } finally {
    server.close()
    rmSync(path, { force: true })
  }
}
