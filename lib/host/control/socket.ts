/** Where the socket is when the disk of `path` takes no name; only root may make one there. */
export function elsewhere(path: string): string {
  return `/run/soci-deno-${shortName(path)}.sock`;
}

/**
 * The private folder in which containerd's socket is made before it is moved to its address. Its name is short, as
 * the kernel takes 107 bytes.
 */
export function bindingFolder(address: string): string {
  const parent = address.slice(0, address.lastIndexOf("/") + 1);
  return `${parent}.${shortName(address)}`;
}

/** FNV-1a of 64 bits. Not a digest: nobody but root chooses the path, and loading those takes 20 ms. */
function shortName(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, "0");
}

/** A connection to the daemon that listens at `path`, or elsewhere for it; null when none runs. */
export async function connect(path: string): Promise<Deno.Conn | null> {
  return await connectAt(path) ?? await connectAt(elsewhere(path));
}

/** Sends one question or piece of news, as one line. */
export async function say(to: Deno.Conn, message: unknown): Promise<void> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(message)}\n`);
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
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
