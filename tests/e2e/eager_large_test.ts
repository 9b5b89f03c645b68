/** Images of large layers that are taken whole: how much memory that takes, and what their index is good for. */
import assert from "node:assert/strict";
import { ctrRun } from "../support/host/mod.ts";
import { erofsRefusal } from "../support/erofs/mod.ts";
import {
  addBusybox,
  type Image,
  incompressible,
  type LayerBlob,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import {
  decodeCheckpoints,
  decodeZtoc,
  encodeZtoc,
} from "../../lib/formats/ztoc/mod.ts";
import { pushIndexed, ztocOfBlob } from "./forged.ts";
import { LazyHost } from "./host.ts";

/** The most that the daemon may have in memory, whatever it takes. */
const MOST_BYTES = 300e6;
/** Larger than what all requests in flight may hold. */
const FILE_BYTES = 65 * 2 ** 20;
const LAYERS = 2;
const FILES = 40_000;
const SPAN_BYTES = 2 ** 20;
/** Before the checkpoints of a ztoc. */
const CHECKPOINTS_HEADER_BYTES = 12;

/** Its blob is little smaller than its tar, and takes no time to make. */
function largeLayer(at: number): { layer: LayerBlob; digest: string } {
  const bytes = incompressible(FILE_BYTES, at + 1);
  const tar = new TarBuilder().file(`large-${at}`, bytes);
  return {
    layer: layerBlob(tar, { level: 0 }),
    digest: sha256(bytes).slice("sha256:".length),
  };
}

/** A layer of many files, which takes memory for its list of files and its tree. */
function manyFiles(base: LayerBlob): Image {
  const tar = new TarBuilder();
  for (let i = 0; i < FILES; i++) {
    tar.file(`usr/share/a-folder-${i >> 8}/a-file-with-a-name-${i}`, "");
  }
  return makeImage({ layers: [base, layerBlob(tar)] });
}

/** The same with each place where the blob can be entered but the first a byte too late. */
function lyingZtoc(ztoc: Uint8Array): Uint8Array {
  const right = decodeZtoc(ztoc);
  const { spanSize, checkpoints } = decodeCheckpoints(right.checkpoints);
  const lies = new Uint8Array(right.checkpoints);
  const view = new DataView(lies.buffer);
  const bytes = (lies.length - CHECKPOINTS_HEADER_BYTES) / checkpoints.length;
  assert.equal(spanSize, SPAN_BYTES);
  checkpoints.forEach((one, i) => {
    const at = CHECKPOINTS_HEADER_BYTES + i * bytes;
    assert.equal(view.getUint32(at, true), one.in);
    if (i > 0) view.setUint32(at, one.in + 1, true);
  });
  return encodeZtoc({ ...right, checkpoints: lies });
}

/** The most that a process ever had in memory, bytes. */
function peakOf(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024;
}

testUnless(await erofsRefusal(), {
  name:
    "large layers side by side, and one of many files, take 300 MB of the daemon's memory at most; all cores inflate one whose index says how, and an index that lies does no harm",
  async fn() {
    await using registry = startRegistry();
    const large = Array.from({ length: LAYERS + 1 }, (_, at) => largeLayer(at));
    const base = layerBlob(addBusybox(new TarBuilder()));
    const first = { layer: base, ztoc: ztocOfBlob(base.bytes) };
    const ztocs = large.map(({ layer }, at) => {
      const ztoc = ztocOfBlob(layer.bytes, SPAN_BYTES);
      return at === 0 ? ztoc : lyingZtoc(ztoc);
    });
    const [alone, ...others] = large;
    // Each has a ztoc of its own, but for the places where it can be entered.
    const { name: lying } = pushIndexed(registry, "lying", [
      first,
      ...others.map(({ layer }, at) => ({ layer, ztoc: ztocs[at + 1]! })),
    ]);
    const { name: honest } = pushIndexed(registry, "honest", [
      first,
      { layer: alone!.layer, ztoc: ztocs[0]! },
    ]);
    await using host = await LazyHost.start({
      config: '[eager]\nimages = ["**"]\n',
    });
    const useless = () =>
      host.logs().match(/checkpoints of an index are of no/g)?.length ?? 0;
    const ztocsAsked = () =>
      ztocs.map(sha256).filter((digest) =>
        registry.requests.some(({ path }) => path.endsWith(digest))
      ).length;
    for (
      const [image, layers] of [[lying, others], [honest, [alone!]]] as const
    ) {
      const before = useless();
      registry.requests.length = 0;
      const pulled = await host.pull(image);
      const [, ...outcomes] = pulled.layers.map(({ outcome }) => outcome);
      assert.deepEqual(outcomes, layers.map(() => "served"));
      if (navigator.hardwareConcurrency > 1) {
        assert.ok(ztocsAsked() > 0);
        assert.equal(useless() > before, image === lying, host.logs());
      }
      const { stdout, stderr } = await ctrRun(host.containerd, {
        ...{ image, id: `large-${layers.length}`, snapshotter: "soci" },
        args: ["/bin/sh", "-c", "for i in /large-*; do sha256sum < $i; done"],
      });
      assert.deepEqual(
        stdout.trim().split("\n").map((line) => line.slice(0, 64)),
        layers.map(({ digest }) => digest),
        stderr,
      );
    }
    await pushImage(registry.host, "many:1", manyFiles(base));
    const { layers: [, many] } = await host.pull(`${registry.host}/many:1`);
    assert.equal(many!.outcome, "served");
    const peak = peakOf(host.pid);
    assert.ok(peak <= MOST_BYTES, `${(peak / 1e6).toFixed(0)} MB`);
  },
});
