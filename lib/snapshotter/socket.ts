import { SnapshotterSetupError } from "./errors.ts";

/** Permission to connect is permission to mount anything: root alone. */
const SOCKET_MODE = 0o600;

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
  if (whenTaken === "replace") return;
  try {
    const connection = await Deno.connect({ transport: "unix", path: address });
    connection.close();
  } catch {
    return; // nobody listens: left over, to be replaced
  }
  throw new SnapshotterSetupError(
    address,
    "another process listens on this socket",
  );
}
