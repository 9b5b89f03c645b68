import { Buffer } from "node:buffer";
import { setTimeout as pause } from "node:timers/promises";
import { MAX_READ_BYTES } from "../../host/fuse/mod.ts";
import {
  abortConnection,
  LOWER_FLAGS,
  mountFuse,
  MountHelper,
  unmountElsewhere,
} from "../../host/mounting/mod.ts";
import { closeFd } from "../../host/os/mod.ts";
import { openThread } from "../../host/threads/mod.ts";
import {
  fillProbePattern,
  PROBE_BLOB,
  PROBE_FILES,
  probeImage,
} from "./erofs_probe_layout.ts";
import { startProbeServer } from "./start.ts";

/** The kernel cannot show layers by EROFS, or not safely; the message says why. */
export class ErofsUnusableError extends Error {
  static {
    this.prototype.name = "ErofsUnusableError";
  }
}

/** The self-test's timeout, ms: longer than any working kernel needs. */
const PROBE_TIMEOUT_MS = 10_000;
/** How long its server may take to notice that it is unmounted, ms. */
const END_MS = 2_000;
const READ_BYTES = 1 << 20;

/**
 * Tests on the running kernel what the EROFS face needs, with a FUSE server of its own. An image
 * must be mountable directly from a file, with its data on a FUSE mount. overlayfs must accept two
 * directories of it. A read of bytes that the server cannot give must fail and never return zeros,
 * even if a part of the read or of the page is available.
 * @param folder for the test's mounts and files; created and removed.
 * @param mountHelper makes the mounts, see `MountHelper`.
 * @throws ErofsUnusableError; OsError when not even FUSE can be mounted.
 */
export async function probeErofs(
  folder: string,
  mountHelper: readonly string[] | null,
): Promise<void> {
  const paths = {
    fuse: `${folder}/fuse`,
    image: `${folder}/image`,
    erofs: `${folder}/erofs`,
    overlay: `${folder}/overlay`,
  };
  const mountpoints = [paths.overlay, paths.erofs, paths.fuse];
  for (const path of mountpoints) {
    while (await unmountElsewhere(path)); // left by an interrupted test
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
  }
  Deno.writeFileSync(paths.image, probeImage(), { mode: 0o600 });
  const fd = mountFuse({
    mountpoint: paths.fuse,
    source: "soci-deno",
    maxReadBytes: MAX_READ_BYTES,
  });
  const serving = Promise.withResolvers<void>();
  serving.promise.catch(() => {}); // raced below
  const over = Promise.withResolvers<true>();
  const server = openThread<number, "serving" | "over">(
    { name: "EROFS probe", start: startProbeServer },
    {
      message: (said) =>
        said === "serving" ? serving.resolve() : over.resolve(true),
      broken: (why) => {
        over.resolve(true);
        serving.reject(new ErofsUnusableError(`its self-test: ${why}`));
      },
    },
  );
  server.post(fd);
  let timer: ReturnType<typeof setTimeout> | undefined;
  await using helper = new MountHelper(mountHelper);
  try {
    await Promise.race([
      serving.promise.then(() => tryAll(helper, paths)),
      new Promise((_, reject) => {
        timer = setTimeout(() => {
          abortConnection(paths.fuse); // frees hanging readers
          reject(new ErofsUnusableError("its self-test hangs"));
        }, PROBE_TIMEOUT_MS);
      }),
    ]);
  } finally {
    clearTimeout(timer);
    for (const path of mountpoints) await unmountElsewhere(path);
    // A server that still waits would take what comes by another descriptor of this number: then it stays open.
    const isOver = await Promise.race([over.promise, pause(END_MS, false)]);
    server[Symbol.dispose]();
    if (isOver) closeFd(fd);
    await Deno.remove(folder, { recursive: true });
  }
}

async function tryAll(
  helper: MountHelper,
  paths: { fuse: string; image: string; erofs: string; overlay: string },
): Promise<void> {
  const { failure } = await helper.mount({
    source: paths.image,
    target: paths.erofs,
    type: "erofs",
    flags: LOWER_FLAGS,
    data: `device=${paths.fuse}/${PROBE_BLOB.name}`,
  });
  if (failure !== null) {
    throw new ErofsUnusableError(
      `the kernel does not mount EROFS from a file with its data on FUSE: ${failure}`,
    );
  }
  const { failure: unstacked } = await helper.mount({
    source: "soci-deno",
    target: paths.overlay,
    type: "overlay",
    flags: LOWER_FLAGS,
    data: `lowerdir=${paths.erofs}/a:${paths.erofs}/b`,
  });
  if (unstacked !== null) {
    throw new ErofsUnusableError(
      `overlayfs does not take EROFS from a file: ${unstacked}`,
    );
  }
  for (const { name, offset, size } of PROBE_FILES) {
    // First through overlayfs, as containers read; then page by page, to see what the first read left in
    // the cache.
    const whole = await readable(`${paths.overlay}/${name}`, size, READ_BYTES);
    const pages = await readable(`${paths.erofs}/a/${name}`, size, 4096);
    const lost = offset + size > PROBE_BLOB.goodBytes;
    for (const found of [whole, pages]) {
      if (!isPattern(found, offset)) {
        throw new ErofsUnusableError(
          "the kernel fills in zeros where data cannot be read",
        );
      }
      if ((found.bytes.length < size) !== lost) {
        throw new ErofsUnusableError(
          lost
            ? "the kernel hides that data cannot be read"
            : "the kernel does not read all of a file",
        );
      }
    }
  }
}

interface Readable {
  /** The bytes before the first error or the end. */
  readonly bytes: Uint8Array;
  /** The bytes of pages after the first error that could be read. */
  readonly behind: readonly {
    readonly at: number;
    readonly bytes: Uint8Array;
  }[];
}

/** Reads a file in steps, and continues after a step that fails. */
async function readable(
  path: string,
  size: number,
  step: number,
): Promise<Readable> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(size);
  let length = 0;
  let failed = false;
  const behind = [];
  for (let at = 0; at < size;) {
    const buffer = new Uint8Array(Math.min(step, size - at));
    await file.seek(at, Deno.SeekMode.Start);
    const count = await file.read(buffer).catch(() => null);
    if (count === null || count === 0) {
      failed = true; // for lost data an error is the right answer
      at += buffer.length;
    } else {
      const found = buffer.subarray(0, count);
      if (failed) behind.push({ at, bytes: found });
      else {
        bytes.set(found, at);
        length = at + count;
      }
      at += count;
    }
  }
  return { bytes: bytes.subarray(0, length), behind };
}

function isPattern(found: Readable, offset: number): boolean {
  return [{ at: 0, bytes: found.bytes }, ...found.behind].every(
    ({ at, bytes }) => {
      const expected = new Uint8Array(bytes.length);
      fillProbePattern(expected, offset + at);
      return Buffer.compare(bytes, expected) === 0;
    },
  );
}
