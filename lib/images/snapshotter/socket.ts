import { SnapshotterSetupError } from "./errors.ts";

/** Permission to connect is permission to mount anything: root alone. */
const SOCKET_MODE = 0o600;
/** A server that says nothing for so long is none. */
const SILENCE_MS = 3_000;

/**
 * Has a server listen on a Unix socket that is never open to others, not even for a moment, and that
 * replaces what a dead daemon left.
 *
 * The socket is made in a private folder, closed to others, and then moved to its place.
 *
 * @param listen binds the path it is given.
 * @param whenTaken `replace`: somebody who listens there loses the place, but keeps the connections
 * it has.
 * @throws SnapshotterSetupError when somebody listens there or something else is there.
 */
export async function listenPrivately(
  address: string,
  listen: (path: string) => Promise<void>,
  whenTaken: "fail" | "replace" = "fail",
): Promise<void> {
  const parent = address.slice(0, address.lastIndexOf("/")) || "/";
  Deno.mkdirSync(parent, { recursive: true, mode: 0o711 });
  await assertFree(address, whenTaken);
  const folder = Deno.makeTempDirSync({ dir: parent, prefix: "." });
  try {
    const path = `${folder}/s`;
    await listen(path);
    Deno.chmodSync(path, SOCKET_MODE);
    Deno.renameSync(path, address);
  } finally {
    Deno.removeSync(folder, { recursive: true });
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
 * Whether a server is there that says something when it is called, as every HTTP/2 server does.
 * A killed daemon that cannot end has its socket open, but is silent.
 */
async function answers(path: string): Promise<boolean> {
  let connection: Deno.Conn;
  try {
    connection = await Deno.connect({ transport: "unix", path });
  } catch {
    return false; // nobody listens: left over, to be replaced
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
