import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import type { Recording } from "../../../../lib/formats/order/mod.ts";
import { RecordingsFolder } from "../../../../lib/images/order/mod.ts";
import { parseReference } from "../../../../lib/remote/registry/mod.ts";

const LAYERS = [1, 2].map((byte) => sha256(Uint8Array.of(byte)));

function recording(image: string, offset: number, workload = "default") {
  return {
    ...{ image, workload, platform: "linux/amd64", runs: 1, layers: LAYERS },
    touches: [[1, offset, 4096], [0, 512, 100], [1, offset, 9000]].map(
      ([layer, offset, length]) => ({
        ...{ layer: layer!, offset: offset!, length: length! },
        ...{ ms: 1, waitedMs: 0, runs: 1 },
      }),
    ),
  } satisfies Recording;
}

async function inFolder(body: (folder: RecordingsFolder) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await body(new RecordingsFolder(`${folder}/recordings`));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const APP = parseReference("registry.example/team/app:3");

Deno.test("a tag that is new has what was recorded of its repository's other tags, the newest first", () =>
  inFolder(async (folder) => {
    assert.equal(await folder.order(APP, "default"), null);
    folder.keep(recording("registry.example/team/app:1", 1000), 1);
    folder.keep(recording("registry.example/team/app:2", 2000), 2);
    folder.keep(recording("registry.example/team/app:2", 3000, "batch"), 3);
    folder.keep(recording("registry.example/other/app:1", 4000), 4);
    folder.keep(recording("mirror.example/team/app:1", 5000), 5);
    const found = await folder.of(APP, "default");
    assert.deepEqual(found.map(({ image }) => image), [
      "registry.example/team/app:2",
      "registry.example/team/app:1",
    ]);
    assert.equal((await folder.of(APP, "default", 1)).length, 1);
    assert.deepEqual(await folder.order(APP, "default"), {
      ...{ layers: LAYERS, packs: [], frames: [] },
      ranges: [
        { layer: 1, offset: 2000, length: 4096 },
        { layer: 0, offset: 512, length: 100 },
        { layer: 1, offset: 6096, length: 4904 },
      ],
    });
    assert.equal((await folder.of(APP, "batch")).length, 1);
    assert.equal(await folder.order(APP, "other"), null);
  }));

Deno.test("eight recordings of an image are kept, and what is no recording is passed over", () =>
  inFolder(async (folder) => {
    for (let i = 0; i < 12; i++) {
      folder.keep(recording("registry.example/team/app:1", i), 1000 + i);
    }
    const kept = await folder.of(APP, "default");
    assert.deepEqual(
      kept.map(({ touches }) => touches[0]!.offset),
      [11, 10, 9, 8, 7, 6, 5, 4],
    );
    await Deno.writeTextFile(
      `${folder.folder}/registry.example_team_app_1-default-9999.recording.json`,
      "{}",
    );
    assert.equal((await folder.of(APP, "default", 1)).length, 1);
  }));
