/** Images whose registries hang, beside one that comes. */
import assert from "node:assert/strict";
import { LineSpeeds } from "../../../../lib/images/lazy/line_speeds.ts";
import { KeptBlobs } from "../../../../lib/layers/store/mod.ts";
import { WholeLayerTaker } from "../../../../lib/images/lazy/whole_layer.ts";
import { FAST_LIMITS } from "../../../../lib/images/lazy/whole_limits.ts";
import { WholeProgress } from "../../../../lib/images/lazy/whole_progress.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  incompressible,
  layerBlob,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { startRegistry } from "../../../support/registry/mod.ts";

const MIB = 2 ** 20;

Deno.test("two images that hang, one from its first byte on and one in the midst of its layers, keep no Worker, memory or request from a third", async () => {
  await using silent = startRegistry();
  await using stuck = startRegistry();
  await using well = startRegistry();
  const end = new AbortController();
  silent.intercept = (path) =>
    path.includes("/blobs/")
      ? new Promise((resolve) =>
        end.signal.addEventListener(
          "abort",
          () => resolve(new Response("", { status: 503 })),
        )
      )
      : null;
  let asked = 0;
  // The first part of a layer comes, and then no other one.
  stuck.intercept = (path, request) =>
    path.includes("/blobs/") &&
      !request.headers.get("range")?.startsWith("bytes=0-") && asked++ >= 0
      ? silent.intercept!(path, request)
      : null;
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-whole-hang-" });
  using client = new RegistryClient({ retry: { retries: 0 } });
  using taker = new WholeLayerTaker({
    ...{ client, folder, progress: new WholeProgress() },
    kept: new KeptBlobs(folder),
    speeds: new LineSpeeds(),
    limits: FAST_LIMITS,
    decompressors: {},
  });
  const take = async (
    registry: typeof well,
    image: string,
    seed: number,
  ): Promise<string> => {
    const made = layerBlob(
      new TarBuilder().file("data", incompressible(13 * MIB, seed)),
    );
    const { digest } = registry.addBlob("a/b", made.bytes);
    using layer = await taker.take({
      reference: parseReference(`${registry.host}/a/b:1`),
      layer: {
        mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
        digest,
        size: made.bytes.length,
      },
      diffId: made.diffId,
      requester: { image, host: registry.host },
      ...{ spanSizeBytes: 4 * MIB, windows: "all" as const },
      ...{ isKept: false, known: null, signal: end.signal },
    });
    assert.equal(sha256(Deno.readFileSync(layer.data)), made.diffId);
    return image;
  };
  let ended = 0;
  const hanging: Promise<unknown>[] = [];
  for (let i = 0; i < 3; i++) {
    for (const registry of [silent, stuck]) {
      const image = registry === silent ? "silent" : "stuck";
      hanging.push(
        take(registry, image, 10 * i + hanging.length)
          .catch(() => {}).finally(() => ended++),
      );
    }
  }
  while (asked < 3) await new Promise((resolve) => setTimeout(resolve, 20));
  const third = Promise.all([100, 101, 102].map((i) => take(well, "well", i)));
  await Promise.race([third, ...hanging]);
  assert.equal(ended, 0, "a time-out was waited for");
  await third;
  end.abort(new Error("the test ends"));
  await Promise.all(hanging);
  await Deno.remove(folder, { recursive: true });
});
