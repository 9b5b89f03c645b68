import { dirname } from "node:path";
import { bindingFolder } from "../../host/control/mod.ts";
import { removeFolder } from "../../host/files/mod.ts";
import { closeFd, listenUnix } from "../../host/os/mod.ts";
import { SnapshotterSetupError } from "./errors.ts";

/** Whoever may connect may mount anything, so only root may. */
const SOCKET_MODE = 0o600;
/** Calls that may wait while no daemon runs, or one starts: more than containerd makes at a time. */
const BACKLOG = 512;
/** A server that is silent for this long counts as dead, ms. */
const SILENCE_MS = 3_000;

/**
 * Listens on a Unix socket that only root can open, at any moment. Replaces a socket that a dead daemon left.
 *
 * The socket is made in a private folder, gets its mode there, and is then moved to its place.
 *
 * @param whenTaken `replace`: a server that listens there loses the path, but keeps its
 * connections.
 * @returns the descriptor, which is the caller's, as the path is.
 * @throws SnapshotterSetupError if another server listens there, or if the path is not a socket; OsError;
 * RangeError if the path is too long.
 */
export async function listenPrivately(
  address: string,
  whenTaken: "fail" | "replace" = "fail",
): Promise<number> {
  await assertFree(address, whenTaken);
  const folder = privateFolder(address);
  try {
    const path = `${folder}/s`;
    const socket = listenUnix(path, BACKLOG);
    try {
      Deno.chmodSync(path, SOCKET_MODE);
      Deno.renameSync(path, address);
    } catch (error) {
      closeFd(socket);
      throw error;
    }
    return socket;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** One that a killed daemon left is made anew: others may have been able to enter it. */
function privateFolder(address: string): string {
  const folder = bindingFolder(address);
  const make = () => Deno.mkdirSync(folder, { mode: 0o700 });
  try {
    removeFolder(folder);
    try {
      make();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      Deno.mkdirSync(dirname(folder), { recursive: true, mode: 0o711 });
      make();
    }
    return folder;
  } catch (error) {
    throw new SnapshotterSetupError(
      address,
      "the socket cannot be made there (say another place with --address)",
      { cause: error },
    );
  }
}

async function assertFree(
  address: string,
  whenTaken: "fail" | "replace",
): Promise<void> {
  let info: Deno.FileInfo;
  try {
    info = Deno.lstatSync(address);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!info.isSocket) {
    throw new SnapshotterSetupError(address, "is there and is not a socket");
  }
  if (whenTaken === "replace" || !await answers(address)) return;
  throw new SnapshotterSetupError(
    address,
    "another process listens on this socket",
  );
}

/**
 * Whether a live server listens: an HTTP/2 server speaks first after a connect. A killed daemon
 * that cannot exit keeps its socket open, but is silent.
 */
async function answers(path: string): Promise<boolean> {
  let connection: Deno.Conn;
  try {
    connection = await Deno.connect({ transport: "unix", path });
  } catch {
    return false; // nobody listens: a leftover socket
  }
  const timer = setTimeout(() => connection.close(), SILENCE_MS);
  try {
    return await connection.read(new Uint8Array(1)) !== null;
  } catch {
    return false; // closed by the timer, or by the other side
  } finally {
    clearTimeout(timer);
    try {
      connection.close();
    } catch {
      // by the timer already
    }
  }
}
