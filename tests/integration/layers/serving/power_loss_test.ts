/** A daemon is killed, the next one goes on, and then the machine loses power: on a disk of its own, as that has it. */
import assert from "node:assert/strict";
import { mountHelperArguments } from "../../../../cmd/program.ts";
import { LayerStore } from "../../../../lib/layers/serving/mod.ts";
import { encodeZtoc, ZtocBuilder } from "../../../../lib/formats/ztoc/mod.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import { SmallDisk, tryRun } from "../../../support/host/mod.ts";
import {
  incompressible,
  layerBlob,
  TarBuilder,
} from "../../../support/images/mod.ts";

const BLOB = layerBlob(
  new TarBuilder().file("file", incompressible(200_000, 7)),
);

function ztocOf(blob: Uint8Array): Uint8Array<ArrayBuffer> {
  const builder = new ZtocBuilder({ compression: "gzip", spanSize: 65_536 });
  builder.push(new Uint8Array(blob));
  return encodeZtoc(builder.finish().ztoc) as Uint8Array<ArrayBuffer>;
}

Deno.test("a ztoc that a killed daemon named and did not sync is on disk before a layer of the next one is shown", async () => {
  await using disk = await SmallDisk.make("ext4", 64);
  const ztoc = ztocOf(BLOB.bytes);
  const open = () =>
    LayerStore.open({
      root: disk.root,
      mountDirectory: `${disk.folder}/fs`,
      mountHelper: mountHelperArguments(),
    });
  const claim = (store: LayerStore) =>
    store.claim({
      identity: { layerDigest: BLOB.digest, ztocDigest: sha256(ztoc) },
      diffId: BLOB.diffId,
      claimant: "somebody",
      makeSource: () => ({
        host: "",
        fetch: (start, end, into) => {
          into.set(BLOB.bytes.subarray(start, end));
          return Promise.resolve();
        },
      }),
      fetchZtoc: () =>
        Promise.resolve({ bytes: new Uint8Array(ztoc), whole: null }),
      signal: new AbortController().signal,
    });
  {
    await using store = await open();
    await (await claim(store)).shown;
  }
  await using store = await open();
  // As a kill leaves it: the name is the kernel's, and no disk's.
  const path = `${disk.root}/layers/1/ztoc`;
  Deno.renameSync(path, `${path}.new`);
  await run("sync", "-f", path.replace("ztoc", ""));
  Deno.renameSync(`${path}.new`, path);
  const layer = await claim(store);
  await layer.shown; // the snapshotter commits a snapshot on it
  await using after = await disk.afterPowerLoss();
  assert.deepEqual(
    Deno.readFileSync(`${after.root}/layers/1/ztoc`),
    ztoc,
  );
});

async function run(program: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await tryRun(program, args);
  assert.equal(code, 0, stderr);
}
