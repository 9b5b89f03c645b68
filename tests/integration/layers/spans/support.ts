/** A store over a folder of its own, and readers that bypass the kernel's page cache. */
import { mountHelperArguments } from "../../../../cmd/program.ts";
import {
  LayerStore,
  type LayerStoreOptions,
} from "../../../../lib/layers/serving/mod.ts";
import { encodeZtoc } from "../../../../lib/formats/ztoc/mod.ts";
import type { TestLayer } from "../../../unit/layers/spans/support.ts";

/** A store in a folder. */
export interface TestStore extends AsyncDisposable {
  readonly store: LayerStore;
  readonly folder: string;
}

/** Opens a store; `folder` is made and removed unless it is given. */
export async function openStore(
  options: Partial<LayerStoreOptions> & { folder?: string } = {},
): Promise<TestStore> {
  const folder = options.folder ??
    Deno.makeTempDirSync({ prefix: "soci-deno-store-" });
  const store = await LayerStore.open({
    root: `${folder}/root`,
    mountDirectory: `${folder}/fs`,
    mountHelper: mountHelperArguments(),
    ...options,
  });
  return {
    store,
    folder,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      if (options.folder === undefined) {
        Deno.removeSync(folder, { recursive: true });
      }
    },
  };
}

/** The bytes of a layer's ztoc. */
export function ztocOf({ ztoc }: Pick<TestLayer, "ztoc">) {
  return encodeZtoc(ztoc);
}

const PYTHON = `
import mmap, os, random, sys, time
path, expected, seconds, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
random.seed(seed)
fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
ref = os.open(expected, os.O_RDONLY)
size = os.fstat(fd).st_size
end = time.monotonic() + seconds
reads = wrong = 0
buffers = {n: mmap.mmap(-1, n) for n in (4096, 65536, 131072)}
while time.monotonic() < end:
    length = random.choice(list(buffers))
    offset = random.randrange(0, size // 4096) * 4096
    count = os.preadv(fd, [buffers[length]], offset)
    want = os.pread(ref, count, offset)
    reads += 1
    if buffers[length][:count] != want:
        wrong += 1
print(reads, wrong)
`;

/**
 * Reads random places of a file past the page cache for some seconds and compares.
 * @returns reads, and those that gave wrong bytes.
 */
export async function hammer(
  path: string,
  expected: string,
  options: { seconds: number; seed: number },
): Promise<{ reads: number; wrong: number }> {
  const { success, stdout, stderr } = await new Deno.Command("timeout", {
    args: [
      ...["60", "python3", "-c", PYTHON, path, expected],
      ...[String(options.seconds), String(options.seed)],
    ],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const [reads, wrong] = new TextDecoder().decode(stdout).split(" ")
    .map(Number);
  return { reads: reads!, wrong: wrong! };
}

/** Reads a whole file without blocking this isolate, whose turn it is to serve it. */
export async function readWhole(
  path: string,
): Promise<{ bytes: Uint8Array } | { error: string }> {
  const { success, stdout, stderr } = await new Deno.Command("timeout", {
    args: ["60", "cat", path],
  }).output();
  return success
    ? { bytes: stdout }
    : { error: new TextDecoder().decode(stderr).trim() };
}
