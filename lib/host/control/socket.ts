import { sha256 } from "../../formats/oci/mod.ts";

/** Where the socket is when the disk of `path` takes no name; only root may make one there. */
export function elsewhere(path: string): string {
  const id = sha256(new TextEncoder().encode(path)).slice("sha256:".length);
  return `/run/soci-deno-${id.slice(0, 16)}.sock`;
}

/** A connection to the daemon that listens at `path`, or elsewhere for it; null when none runs. */
export async function connect(path: string): Promise<Deno.Conn | null> {
  return await connectAt(path) ?? await connectAt(elsewhere(path));
}

async function connectAt(path: string): Promise<Deno.Conn | null> {
  try {
    return await Deno.connect({ transport: "unix", path });
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.ConnectionRefused
    ) return null;
    throw error;
  }
}
