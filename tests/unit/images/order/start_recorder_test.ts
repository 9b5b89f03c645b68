/** `recording.max_sec` and `idle_sec`: when the recording of a start ends. */
import assert from "node:assert/strict";
import {
  RecordingsFolder,
  StartRecorder,
} from "../../../../lib/images/order/mod.ts";
import type { LayerStore } from "../../../../lib/layers/serving/mod.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;
const LABELS = {
  "containerd.io/snapshot/cri.image-ref": "registry.example/app:1",
  "containerd.io/snapshot/cri.layer-digest": DIGEST,
};

/** A store whose one layer is read all the time. */
function busyStore(ended: () => void): LayerStore {
  const now = () => performance.timeOrigin + performance.now();
  return {
    all: () => [{ slot: 1, layerDigest: DIGEST }],
    record: () => ({
      reads: () => [
        { slot: 1, offset: 0, length: 10, atMs: now(), waitedMs: 0 },
      ],
      [Symbol.dispose]: ended,
    }),
  } as unknown as LayerStore;
}

Deno.test("a start that reads on and on is recorded for max_sec, and no longer", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-recorder-" });
  const { promise, resolve } = Promise.withResolvers<void>();
  let isOver = false;
  using recorder = new StartRecorder(
    busyStore(() => {
      isOver = true;
      resolve();
    }),
    {
      folder: new RecordingsFolder(folder),
      wants: () => true,
      idleMs: 3_600_000,
      maxMs: 600,
    },
  );
  const began = performance.now();
  recorder.prepared({ parent: "top", labels: {} }, () => ({ labels: LABELS }));
  assert.ok(!isOver);
  await promise;
  assert.ok(performance.now() - began >= 600, "not before");
  await Deno.remove(folder, { recursive: true });
});
