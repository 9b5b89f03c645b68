import assert from "node:assert/strict";
import { LyingZtocError } from "../../../../lib/layers/store/mod.ts";
import { type Digest, sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  decodeCheckpoints,
  encodeZtoc,
  type Ztoc,
  ZtocBuilder,
} from "../../../../lib/formats/ztoc/mod.ts";
import { encodeCheckpoints } from "../../../../lib/formats/ztoc/checkpoints.ts";
import { layerBlob, TarBuilder } from "../../../support/images/mod.ts";
import { compressible } from "../../../support/images/random.ts";
import { MemorySource } from "../../../unit/layers/spans/support.ts";
import { openStore, readWhole } from "./support.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Layer {
  readonly blob: Uint8Array;
  readonly digest: string;
  readonly diffId: Digest;
  readonly ztoc: Ztoc;
  readonly file: Uint8Array;
}

/** A layer of one file; `paddingBytes` of zeros follow the tar's end. */
function layerOf(
  options: {
    paddingBytes?: number;
    compression?: "gzip" | "gzip-multi" | "none";
  },
): Layer {
  const { paddingBytes = 0, compression = "gzip" } = options;
  const file = compressible(3_000_000);
  const tar = new TarBuilder().file("file", file).finish();
  const padded = new Uint8Array(tar.length + paddingBytes);
  padded.set(tar);
  const { bytes, digest } = layerBlob(padded, { compression });
  const builder = new ZtocBuilder({
    compression: compression === "none" ? "uncompressed" : "gzip",
    spanSize: 256 * 1024,
  });
  builder.push(bytes);
  const { ztoc, diffId } = builder.finish();
  assert.ok(diffId !== null);
  return { blob: bytes, digest, diffId, ztoc, file };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await pause(25);
  assert.ok(condition());
}

for (const compression of ["gzip", "gzip-multi", "none"] as const) {
  for (const paddingBytes of [0, 9_216, 700_000]) {
    Deno.test(`a whole ${compression} layer with ${paddingBytes} bytes behind its tar passes its check`, async () => {
      const layer = layerOf({ paddingBytes, compression });
      await using opened = await openStore();
      const { store, folder } = opened;
      const served = store.add(
        layer.digest,
        encodeZtoc(layer.ztoc),
        new MemorySource(layer.blob),
        layer.diffId,
      );
      await served.fill();
      const mark = `${folder}/root/layers/${served.slot}/checked`;
      await until(() => {
        try {
          return Deno.readTextFileSync(mark) === layer.diffId;
        } catch {
          return false;
        }
      });
      const marked = Deno.statSync(mark).mtime;
      await pause(500); // long enough to hash it again
      assert.deepEqual(Deno.statSync(mark).mtime, marked, "once is enough");
      await served.shown;
      const result = await readWhole(`${served.directory}/file`);
      assert.ok("bytes" in result);
      assert.deepEqual(result.bytes, layer.file);
    });
  }
}

Deno.test("a ztoc whose window changes a file's bytes is found out by the whole layer, and not used again", async () => {
  const layer = layerOf({});
  const decoded = decodeCheckpoints(layer.ztoc.checkpoints);
  const checkpoints = decoded.checkpoints.map((checkpoint, i) => {
    if (i !== 4) return checkpoint;
    const window = checkpoint.window.slice();
    for (let at = 0; at < window.length; at++) {
      if (window[at] === 0x66) window[at] = 0x6c; // "fox" becomes "lox"
    }
    return { ...checkpoint, window };
  });
  const ztoc = {
    ...layer.ztoc,
    checkpoints: encodeCheckpoints({ ...decoded, checkpoints }),
  };
  const bytes = encodeZtoc(ztoc);
  await using opened = await openStore();
  const { store } = opened;
  const add = () =>
    store.add(
      layer.digest,
      bytes,
      new MemorySource(layer.blob),
      layer.diffId,
    );
  const served = add();
  await served.fill();
  await until(() => served.map.presentCount === 0);
  await served.shown;
  const result = await readWhole(`${served.directory}/file`);
  assert.ok("error" in result, "reads fail from then on");
  assert.match(result.error, /Input\/output error/);
  assert.throws(add, LyingZtocError);
  assert.equal(sha256(bytes).length, 71);
});
