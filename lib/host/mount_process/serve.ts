import {
  listNames,
  mountFileSystem,
  type MountOptions,
  OsError,
} from "../os/mod.ts";
import {
  attachMapped,
  type MappedFailure,
  type MappedRequest,
} from "./mapped.ts";

/** Where the kernel lists the backing devices of mounted file systems (Documentation/ABI, bdi). */
const DEVICES = "/sys/class/bdi";
const encoder = new TextEncoder();

/** The result of a mount. */
export interface MountAnswer {
  /** The kernel's error; null when the mount succeeded. */
  readonly failure: string | null;
  /** Names in `/sys/class/bdi` that are new since the mount: its own, and others made meanwhile. */
  readonly devices: readonly string[];
}

/** What the helper is asked for. */
export type HelperRequest = { readonly mount: MountOptions } | {
  readonly map: MappedRequest;
};

/** What it says. */
export interface HelperReply {
  /** What became of a mount. */
  readonly mount?: MountAnswer;
  /** Of directories shown a second time: null when all were mapped. */
  readonly map?: MappedFailure | null;
}

/**
 * The helper process: one request per line of standard input, one answer per line of standard output.
 * Once its owner is gone it starts no more mounts, because nobody would know of them.
 * @param owner process ID of who started it.
 */
export async function serveMounts(owner: number): Promise<void> {
  let rest = "";
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  for await (const text of lines) {
    const parts = (rest + text).split("\n");
    rest = parts.pop() as string;
    for (const part of parts) {
      if (Deno.ppid !== owner) return;
      const request: HelperRequest = JSON.parse(part);
      const reply: HelperReply = "mount" in request
        ? { mount: mountNow(request.mount) }
        : { map: attachMapped(request.map, () => Deno.ppid === owner) };
      Deno.stdout.writeSync(encoder.encode(`${JSON.stringify(reply)}\n`));
    }
  }
}

function mountNow(options: MountOptions): MountAnswer {
  const before = new Set(devices());
  let failure: string | null = null;
  try {
    mountFileSystem(options);
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    failure = error.message;
  }
  return {
    failure,
    devices: devices().filter((name) => !before.has(name)),
  };
}

function devices(): string[] {
  try {
    return listNames(DEVICES);
  } catch (error) {
    if (error instanceof OsError) return []; // no sysfs
    throw error;
  }
}
