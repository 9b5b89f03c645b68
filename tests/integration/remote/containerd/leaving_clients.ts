/**
 * Both sides of `http2_guard_test.ts`: `serve SOCKET` answers until it is told to end, and frees
 * memory all the time; `leave SOCKET` connects, asks and leaves again and again.
 * @module
 */
import {
  RpcChannel,
  SnapshotsClient,
} from "../../../../lib/remote/containerd/mod.ts";
import {
  listenPrivately,
  NO_LAYERS,
  serveSnapshots,
  Snapshotter,
} from "../../../../lib/images/snapshotter/mod.ts";

const CLIENTS = 60;
const [what, socketPath] = Deno.args as [string, string];

if (what === "leave") {
  for (let client = 0; client < CLIENTS; client++) {
    using channel = new RpcChannel({ socketPath, namespace: "test" });
    await new SnapshotsClient(channel, "").has("none");
  }
  Deno.exit(0);
}

const root = await Deno.makeTempDir({ prefix: "soci-deno-leaving-" });
await using snapshotter = await Snapshotter.open({
  root,
  provider: NO_LAYERS,
});
await using _service = await serveSnapshots(snapshotter, {
  descriptor: await listenPrivately(socketPath),
});
const { gc } = globalThis as unknown as { gc: (options?: unknown) => void };
let garbage: number[][] = [];
const freeing = setInterval(() => {
  gc({ type: "minor" });
  garbage.push(new Array(1000).fill(Math.random()));
  if (garbage.length <= 100) return;
  garbage = [];
  gc();
}, 4);
console.log("serving");
for await (const _ of Deno.stdin.readable);
clearInterval(freeing);
Deno.exit(0);
