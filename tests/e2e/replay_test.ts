/** A container that starts from a pack alone: its registry gives no byte of the layers. */
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import type { Descriptor } from "../../lib/formats/oci/mod.ts";
import { encodeRecording } from "../../lib/formats/order/mod.ts";
import { SOCI_ANNOTATION, SOCI_MEDIA } from "../../lib/formats/soci/mod.ts";
import { ctrRun, pause } from "../support/host/mod.ts";
import {
  addBusybox,
  type Image,
  incompressible,
  layerBlob,
  makeImage,
  pauseImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import {
  addLoadOrder,
  type WantedRange,
} from "../support/images/load_order.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

const PIECE = 256 * 1024;

/** All of an image's layers, in pieces. */
function wholeOf({ layers }: Image): WantedRange[] {
  return layers.flatMap(({ bytes }, layer) => {
    const tar = gunzipSync(bytes);
    return Array.from({ length: Math.ceil(tar.length / PIECE) }, (_, i) => ({
      ...{ layer, offset: i * PIECE },
      bytes: new Uint8Array(tar.subarray(i * PIECE, (i + 1) * PIECE)),
    }));
  });
}

Deno.test("a container starts from the pack of the workload that its image names while the registry gives nothing of its layers, and from its spans after a restart or a takeover in mid-stream", async () => {
  await using registry = startRegistry();
  const built = pauseImage({ labels: { "soci-deno.workload": "web" } });
  const image = `${registry.host}/pause:1`;
  await pushImage(registry.host, "pause:1", built);
  await buildIndex("--min-layer-size", "0", "--span-size", "512KiB", image);
  const ranges = wholeOf(built);
  addLoadOrder(registry, "pause", built, ranges.slice(0, 1));
  addLoadOrder(registry, "pause", built, ranges, { workload: "web" });
  const tarBytes = ranges.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const other = makeImage({
    layers: [
      // More than one request of a pack asks for.
      layerBlob(
        addBusybox(new TarBuilder().file("noise", incompressible(2 ** 21))),
      ),
    ],
    config: { labels: { "soci-deno.workload": "web" } },
  });
  const otherImage = `${registry.host}/pause:2`;
  await pushImage(registry.host, "pause:2", other);
  await buildIndex("--min-layer-size", "0", otherImage);
  const { pack } = addLoadOrder(registry, "pause", other, wholeOf(other), {
    workload: "night",
  });
  const digests = [...built.layers, ...other.layers]
    .map(({ digest }) => digest);
  let withheld = true;
  let packRequests = 0;
  registry.intercept = async (path, request) => {
    if (path.includes(pack!) && ++packRequests > 1) {
      await new Promise((resolve) =>
        request.signal.addEventListener("abort", resolve)
      );
    }
    return withheld && digests.some((digest) => path.includes(digest))
      ? new Response(null, { status: 503 })
      : null;
  };
  await using host = await LazyHost.start({
    config: `
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
[load_order]
unpinned = true
`,
  });
  await host.pull(image);
  const echo = (id: string, of = image) =>
    ctrRun(host.containerd, {
      ...{ image: of, id, snapshotter: "soci" },
      args: ["/bin/busybox", "sha256sum", "/bin/busybox"],
    });
  const first = await echo("packed");
  assert.equal(first.code, 0, `${first.stderr}\n${host.logs()}`);
  const { code, stdout } = await sociDeno(
    ...["status", "--json", "--root", host.root],
  );
  assert.equal(code, 0);
  const [counted, ...others] = JSON.parse(stdout).orders;
  assert.deepEqual(others, []);
  assert.equal(counted.image, image);
  assert.equal(counted.workload, "web");
  assert.equal(counted.isPinned, false);
  const { broughtBytes, hitBytes, wastedBytes } = counted.pack;
  assert(broughtBytes <= tarBytes, "the tail of the tar may still come");
  assert(hitBytes > 2 ** 20 && hitBytes + wastedBytes === broughtBytes);
  const shown = await sociDeno("status", "--root", host.root);
  assert.match(shown.stdout, /^127\S+pause:1 +web +pack +\d/m);
  // A successor takes over in mid-stream: what the pack did not bring, it fetches.
  await host.pull(otherImage, "default", ["--workload", "night"]);
  const taken = echo("taken", otherImage);
  for (let tries = 0; packRequests < 2 && tries < 500; tries++) await pause(20);
  assert.ok(packRequests >= 2);
  await host.takeOver();
  withheld = false;
  const { stdout: sum, stderr } = await taken;
  assert.equal(sum, first.stdout, `${stderr}\n${host.logs()}`);
  await host.stopDaemon();
  await host.startDaemon();
  await host.reconnected();
  const second = await echo("spans");
  assert.equal(second.stdout, first.stdout, `${second.stderr}\n${host.logs()}`);
});

Deno.test("an image that pins companion and pack starts before its ztocs are here, and after a restart that comes before them", async () => {
  await using registry = startRegistry();
  const built = pauseImage();
  const image = `${registry.host}/pause:1`;
  await pushImage(registry.host, "pause:1", built);
  const recording = await Deno.makeTempFile({ prefix: "soci-deno-e2e-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(recording));
  await Deno.writeFile(
    recording,
    encodeRecording({
      ...{ image, workload: "default", platform: "linux/amd64", runs: 1 },
      layers: built.layers.map(({ digest }) => digest),
      touches: wholeOf(built).map(({ layer, offset, bytes }) => ({
        ...{ layer, offset, length: bytes.length },
        ...{ ms: 0, waitedMs: 0, runs: 1 },
      })),
    }),
  );
  await buildIndex(
    ...["--min-layer-size", "0", "--span-size", "16KiB"],
    ...["--to", "pinned", "--load-order", recording, image],
  );
  const parts = [
    ...registry.store.repositories.get("pause")!.manifests.values(),
  ]
    .flatMap(({ bytes }): Descriptor[] =>
      JSON.parse(new TextDecoder().decode(bytes)).layers ?? []
    )
    .filter(({ mediaType }) => mediaType === SOCI_MEDIA.compressedParts);
  assert.ok(parts.length > 0);
  const late = [
    ...[...built.layers, ...parts].map(({ digest }) => digest),
    ...parts.map((one) => one.annotations![SOCI_ANNOTATION.ztocDigest]!),
  ];
  let withheld = true;
  registry.intercept = (path, request) =>
    withheld && late.some((digest) => path.endsWith(digest)) &&
      !request.headers.get("range")?.startsWith("bytes=0-")
      ? new Response(null, { status: 503 })
      : null;
  await using host = await LazyHost.start();
  const pinned = `${registry.host}/pause:pinned`;
  await host.pull(pinned);
  const sum = (id: string) =>
    ctrRun(host.containerd, {
      ...{ image: pinned, id, snapshotter: "soci" },
      args: ["/bin/busybox", "sha256sum", "/bin/busybox"],
    });
  const first = await sum("ahead");
  assert.equal(first.code, 0, `${first.stderr}\n${host.logs()}`);
  await host.stopDaemon();
  withheld = false;
  await host.startDaemon();
  await host.reconnected();
  const second = await sum("whole");
  assert.equal(second.stdout, first.stdout, `${second.stderr}\n${host.logs()}`);
});
