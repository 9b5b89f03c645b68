import { OsError, raise } from "./errno.ts";
import { closeFd, cString, O } from "./files.ts";
import { libc } from "./libc.ts";
import { Arena } from "./memory.ts";

const SYS_PIDFD_OPEN = 434n; // the same on x86-64 and aarch64
const SYS_PIDFD_GETFD = 438n;
const F_SETFD = 2;
const F_DUPFD_CLOEXEC = 1030;
const FD_CLOEXEC = 1;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const CMSG_HEADER_BYTES = 16;
const MSGHDR_BYTES = 56;
const MAX_SOCKET_PATH_BYTES = 107;

/**
 * A descriptor of a process (close-on-exec); poll(2) on it reports when the process has ended. The
 * caller owns it. @throws OsError ESRCH when the process is gone.
 */
export function openProcess(pid: number): number {
  const process = Number(libc.syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n));
  return process >= 0 ? process : raise("pidfd_open", `process ${pid}`);
}

/**
 * Duplicates a descriptor of another process into this one (close-on-exec): both refer to the same open
 * file. Needs the right to trace that process; Linux 5.6.
 * @throws OsError ESRCH when the process is gone, EBADF when it has no such descriptor.
 */
export function takeDescriptor(pid: number, fd: number): number {
  const process = openProcess(pid);
  try {
    const taken = Number(
      libc.syscall(SYS_PIDFD_GETFD, BigInt(process), BigInt(fd), 0n),
    );
    if (taken < 0) raise("pidfd_getfd", `descriptor ${fd} of process ${pid}`);
    return taken;
  } finally {
    closeFd(process);
  }
}

/**
 * A pipe, close-on-exec. The caller owns both descriptors.
 * @param options.reads `waiting` (default), or `at once`: a read of an empty pipe fails with EAGAIN.
 * @throws OsError
 */
export function makePipe(
  options: { readonly reads?: "waiting" | "at once" } = {},
): { readonly readEnd: number; readonly writeEnd: number } {
  const ends = new Int32Array(2);
  const flags = options.reads === "at once" ? O.NONBLOCK : 0;
  if (libc.pipe2(new Uint8Array(ends.buffer), O.CLOEXEC | flags) < 0) {
    raise("pipe2", "a pipe");
  }
  const [readEnd = -1, writeEnd = -1] = ends;
  return { readEnd, writeEnd };
}

/** Keeps an inherited descriptor from the programs this process starts. @throws OsError */
export function setCloseOnExec(fd: number): void {
  if (libc.fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    raise("fcntl", `descriptor ${fd}`);
  }
}

/** A second descriptor of the same open file (close-on-exec). The caller owns it. @throws OsError */
export function duplicate(fd: number): number {
  const copy = libc.fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy >= 0 ? copy : raise("fcntl", `descriptor ${fd}`);
}

/**
 * A Unix socket that listens at a new path (close-on-exec, never waits). The caller owns it, and the path.
 * @param backlog connections that may wait until they are accepted; the kernel has a bound of its own.
 * @throws OsError; RangeError for a path that is too long.
 */
export function listenUnix(path: string, backlog: number): number {
  const name = cString(path);
  if (name.length - 1 > MAX_SOCKET_PATH_BYTES) {
    throw new RangeError(`socket address is too long: ${path}`);
  }
  const address = new Uint8Array(2 + name.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  const socket = libc.socket(
    AF_UNIX,
    SOCK_STREAM | O.CLOEXEC | O.NONBLOCK,
    0,
  );
  if (socket < 0) raise("socket", path);
  try {
    if (libc.bind(socket, address, address.length) < 0) raise("bind", path);
    if (libc.listen(socket, backlog) < 0) raise("listen", path);
    return socket;
  } catch (error) {
    closeFd(socket);
    throw error;
  }
}

/**
 * Sends one datagram, with copies of descriptors, to a Unix socket.
 * @param address a path, or `@name` for the abstract namespace.
 * @throws OsError; RangeError for an address that is too long.
 */
export function sendDescriptors(
  address: string,
  text: string,
  fds: readonly number[] = [],
): void {
  const path = cString(address);
  if (path.length - 1 > MAX_SOCKET_PATH_BYTES) {
    throw new RangeError(`socket address is too long: ${address}`);
  }
  if (address.startsWith("@")) path[0] = 0;
  const payload = new TextEncoder().encode(text);
  const arena = new Arena(payload.length + 1024);
  const { view } = arena;
  const header = arena.take(MSGHDR_BYTES);
  const name = arena.take(2 + path.length);
  view.setUint16(name, AF_UNIX, true);
  arena.bytes.set(path, name + 2);
  const vector = arena.take(16);
  view.setBigUint64(vector, arena.address(arena.put(payload)), true);
  view.setBigUint64(vector + 8, BigInt(payload.length), true);
  view.setBigUint64(header, arena.address(name), true);
  // An abstract name has no terminating zero: its length is exact.
  view.setUint32(header + 8, 2 + path.length - 1, true);
  view.setBigUint64(header + 16, arena.address(vector), true);
  view.setBigUint64(header + 24, 1n, true);
  if (fds.length > 0) {
    const control = arena.take(CMSG_HEADER_BYTES + fds.length * 4);
    view.setBigUint64(
      control,
      BigInt(CMSG_HEADER_BYTES + fds.length * 4),
      true,
    );
    view.setInt32(control + 8, SOL_SOCKET, true);
    view.setInt32(control + 12, SCM_RIGHTS, true);
    fds.forEach((fd, i) =>
      view.setInt32(control + CMSG_HEADER_BYTES + i * 4, fd, true)
    );
    view.setBigUint64(header + 32, arena.address(control), true);
    view.setBigUint64(
      header + 40,
      BigInt(CMSG_HEADER_BYTES + Math.ceil(fds.length / 2) * 8),
      true,
    );
  }
  const socket = libc.socket(AF_UNIX, SOCK_DGRAM | O.CLOEXEC, 0);
  if (socket < 0) raise("socket", address);
  try {
    const sent = libc.sendmsg(socket, arena.from(header), MSG_NOSIGNAL);
    if (sent < 0) raise("sendmsg", address);
    if (sent !== payload.length) throw new OsError(0, "sendmsg", address);
  } finally {
    closeFd(socket);
  }
}
