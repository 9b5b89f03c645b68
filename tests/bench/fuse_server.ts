/**
 * Serves the benchmark layer by our file system, in a process of its own: prints the folder of its
 * slots, ends with standard input.
 *
 * usage: fuse_server.ts LAYERS SLOTS SPANS MOUNTS WORKERS FACE [MISSING_MS]
 * Slots are 1 … SLOTS. FACE is `n` (no extended attributes) or `x`. With MISSING_MS nothing is
 * present, and whatever is asked for arrives that many milliseconds later.
 * @module
 */
import { LayerFileSystem } from "../../lib/layers/fs/mod.ts";
import { PRESENT } from "../../lib/layers/presence/mod.ts";
import { LayerTree } from "../../lib/layers/tree/mod.ts";
import { closeFd, O, openFd, preadFully } from "../../lib/host/os/mod.ts";

const [layers, slots, spans, mounts, workers, face, missingMs] = Deno
  .args as [string, string, string, string, string, string, string?];
const tree = new LayerTree(Deno.readFileSync(`${layers}/1/tree`));
const dataFd = openFd(`${layers}/1/data`, O.RDONLY);
{
  await using system = await LayerFileSystem.start({
    layersDirectory: layers,
    mountDirectory: mounts,
    workersPerMount: Number(workers),
  });
  for (let slot = 1; slot <= Number(slots); slot++) {
    const { presence } = system.add({
      slot,
      spanCount: Number(spans),
      hasXattrs: face === "x",
      copy: (offset, into) => preadFully(dataFd, into, offset) === into.length,
      ensure: async () => {
        if (missingMs !== undefined && missingMs !== "0") {
          await new Promise((done) => setTimeout(done, Number(missingMs)));
        }
      },
    }, tree);
    if (missingMs === undefined) presence.fill(PRESENT);
  }
  console.log(`${mounts}/${face}`);
  for await (const _ of Deno.stdin.readable);
}
closeFd(dataFd);
Deno.exit(0); // a Worker blocked in its read would hold the process
