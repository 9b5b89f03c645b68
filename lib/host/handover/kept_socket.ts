/** The listening socket that outlives a daemon: which one it is, by its name and its file. @module */
import { removeIfThere } from "../files/mod.ts";

/** A listening Unix socket that is to outlive this process. */
export interface ListeningSocket {
  /** Its path. */
  readonly address: string;
  /** It, ours; its user owns it. */
  readonly fd: number;
}

/** Which socket is meant, whatever holds it. */
export interface SocketName {
  /** Its path. */
  readonly address: string;
  /** The file that had this path when the socket was bound. */
  readonly file: string;
}

/**
 * Which file has a path: a bound socket keeps its file alive, so no other gets the same number. Null when there
 * is none, or when this process may not look: then its end alone closes the socket, and the path stays.
 */
export function fileAt(address: string): string | null {
  try {
    const { dev, ino } = Deno.lstatSync(address);
    return `${dev}:${ino}`;
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotCapable
    ) return null;
    throw error;
  }
}

/** Whether clients that dial its address still come to this socket. */
export function isInPlace({ address, file }: SocketName): boolean {
  return fileAt(address) === file;
}

/** Removes a socket's path, unless another socket has it by now. @throws FileError */
export function removeSocket(socket: SocketName): void {
  if (isInPlace(socket)) removeIfThere(socket.address);
}

/** Whether both are the same socket, or none. */
export function isSameSocket(
  one: SocketName | null | undefined,
  other: SocketName | null | undefined,
): boolean {
  return one?.address === other?.address && one?.file === other?.file;
}
