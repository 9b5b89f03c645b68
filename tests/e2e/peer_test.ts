import assert from "node:assert/strict";
import {
  descriptorJson,
  documentBytes,
  MEDIA,
  sha256,
} from "../../lib/formats/oci/mod.ts";
import { ORDER_MEDIA } from "../../lib/formats/order/mod.ts";
import { SOCI_MEDIA } from "../../lib/formats/soci/mod.ts";
import {
  parseReference,
  RegistryClient,
} from "../../lib/remote/registry/mod.ts";
import {
  ctrPull,
  ctrRun,
  makeCertificateAuthority,
  startContainerd,
  startDockerRegistry,
} from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  programImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import {
  nameLoopback,
  newerContainerd,
  type SociPeer,
  sociPeer,
  sociRelease,
  startSociPeer,
  testOnDebian,
  testWithSociRelease,
} from "../support/peer/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

const OUTPUT = '{"sum": 5050, "version": 3}\n';

/** Debian's registry behind a name and a certificate, with an image of a program. */
async function startPeerRegistry(name: string, content = programImage()) {
  const stack = new AsyncDisposableStack();
  const authority = stack.use(await makeCertificateAuthority());
  stack.use(nameLoopback(name));
  const registry = stack.use(
    await startDockerRegistry({
      tls: await authority.issue(["127.0.0.1", name]),
    }),
  );
  await pushImage(registry.host, "program:1", content, {
    scheme: "https",
    caCerts: [authority.certPem],
  });
  return {
    registry,
    image: `${name}:${registry.port}/program:1`,
    caFile: authority.certPath,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Indexes an image with soci-deno; the existing daemon pulls it, each layer by FUSE, and runs it. */
async function indexedHereRunByPeer(
  peer: SociPeer,
  { image, caFile }: { readonly image: string; readonly caFile: string },
  expected: {
    readonly layers: number;
    readonly args?: readonly string[];
    /** Newer releases have no command that pulls, and need a newer containerd. */
    readonly release?: "newer";
  },
) {
  await buildIndex("--min-layer-size", "0", "--tlscacert", caFile, image);
  // Newer releases use indexes of this kind only where they are told to; older ones know no such word.
  const config = "[pull_modes.soci_v1]\nenable = true\n";
  await using daemon = await startSociPeer(peer, { caFile, config });
  const newer = expected.release === undefined
    ? undefined
    : await newerContainerd("2");
  assert.ok(newer === undefined || "binDir" in newer, JSON.stringify(newer));
  await using containerd = await startContainerd({
    proxySnapshotters: [{ name: "soci", address: daemon.address }],
    ...(newer !== undefined && { binDir: newer.binDir }),
  });
  if (newer !== undefined) {
    const { code, stderr } = await sociDeno(
      ...["pull", "--address", containerd.address, "--tlscacert", caFile],
      image,
    );
    assert.equal(code, 0, stderr + daemon.logs());
  } else await daemon.soci(containerd, "image", "rpull", image);
  const mounts = Deno.readTextFileSync("/proc/mounts").split("\n")
    .filter((line) => line.includes(daemon.folder));
  assert.equal(mounts.length, expected.layers, "every layer is a FUSE mount");
  const { args } = expected;
  const { stdout, stderr } = await ctrRun(containerd, {
    image,
    id: "lazy",
    snapshotter: "soci",
    ...(args !== undefined && { args }),
  });
  return { stdout, stderr: `${stderr}\n${daemon.logs()}` };
}

/** Puts a companion and load orders beside an image, so that its list of referrers names them first. */
async function pushBeside(image: string, caFile: string): Promise<void> {
  using client = new RegistryClient({
    caCerts: [Deno.readTextFileSync(caFile)],
  });
  const reference = parseReference(image);
  const { descriptor: subject } = await client.manifest(reference);
  const config = new TextEncoder().encode("{}");
  const digest = sha256(config);
  const blob = { mediaType: MEDIA.octetStream, digest, size: config.length };
  await client.pushBlob(reference, blob, () => new Response(config).body!);
  for (const artifactType of [SOCI_MEDIA.companion, ORDER_MEDIA.artifact]) {
    const manifest = documentBytes({
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      artifactType,
      config: descriptorJson(blob),
      layers: [descriptorJson(blob)],
      subject: descriptorJson(subject),
    });
    await client.pushReferrer(reference, manifest, MEDIA.ociManifest, subject);
  }
}

testOnDebian(
  "the existing SOCI daemon pulls lazily and runs what only soci-deno indexed, with companion and load order among the referrers",
  async () => {
    const peer = await sociPeer();
    assert.ok("soci" in peer, JSON.stringify(peer));
    await using setting = await startPeerRegistry("ours.soci-deno.test");
    const { registry } = setting;
    await pushBeside(setting.image, setting.caFile);
    const ran = await indexedHereRunByPeer(peer, setting, { layers: 4 });
    assert.equal(ran.stdout, OUTPUT, ran.stderr);
    assert.match(registry.logs(), / 206 /, "spans are fetched by ranges");
  },
);

testOnDebian(
  "the existing SOCI daemon reads files behind PAX global headers, which its own tools cannot index",
  async () => {
    const peer = await sociPeer();
    assert.ok("soci" in peer, JSON.stringify(peer));
    const tar = new TarBuilder().globalPax({ comment: "of all" })
      .file("first", "one\n").globalPax({ comment: "again" })
      .file("second", "two\n");
    await using setting = await startPeerRegistry(
      "formats.soci-deno.test",
      makeImage({
        layers: [layerBlob(addBusybox(new TarBuilder())), layerBlob(tar)],
        config: { env: ["PATH=/bin"], cmd: ["/bin/sh"] },
      }),
    );
    const ran = await indexedHereRunByPeer(peer, setting, {
      layers: 2,
      args: ["/bin/sh", "-c", "cat /first /second; ls -A /"],
    });
    assert.match(ran.stdout, /^one\ntwo\n/, ran.stderr);
    assert.doesNotMatch(ran.stdout, /passed-over/);
  },
);

for (
  const [which, tools, register] of [
    ["existing SOCI daemon", sociPeer, testOnDebian],
    ["recent release of it", sociRelease, testWithSociRelease],
  ] as const
) {
  register(
    `the ${which} takes a zstd layer that soci-deno indexed for one without ztoc`,
    async () => {
      const peer = await tools();
      assert.ok("soci" in peer, JSON.stringify(peer));
      const tar = new TarBuilder().dir("data")
        .file("data/text", "zstd in frames\n")
        .file("data/more", incompressible(3 * 2 ** 20));
      await using setting = await startPeerRegistry(
        "zstd.soci-deno.test",
        makeImage({
          layers: [
            layerBlob(addBusybox(new TarBuilder())),
            layerBlob(tar, { compression: "zstd-multi" }),
          ],
          config: { env: ["PATH=/bin"], cmd: ["/bin/sh"] },
        }),
      );
      const ran = await indexedHereRunByPeer(peer, setting, {
        layers: 1,
        args: ["/bin/sh", "-c", "cat /data/text"],
        ...(tools === sociRelease && { release: "newer" }),
      });
      assert.equal(ran.stdout, "zstd in frames\n", ran.stderr);
      assert.doesNotMatch(ran.stderr, /panic|compression algorithm/i);
    },
  );
}

testOnDebian(
  "soci-deno serves what only the existing SOCI tools indexed",
  async () => {
    const peer = await sociPeer();
    assert.ok("soci" in peer, JSON.stringify(peer));
    await using setting = await startPeerRegistry("theirs.soci-deno.test");
    const { image, caFile, registry } = setting;
    {
      await using daemon = await startSociPeer(peer, { caFile });
      await using containerd = await startContainerd();
      await ctrPull(containerd, image, { caPath: caFile });
      await daemon.soci(containerd, "create", "--min-layer-size", "0", image);
      await daemon.soci(containerd, "push", image);
    }
    await using host = await LazyHost.start({ caFile });
    const { layers } = await host.pull(image);
    assert.deepEqual(
      layers.map(({ outcome }) => outcome),
      ["served", "served", "served", "served"],
    );
    const ran = await ctrRun(host.containerd, {
      image,
      id: "lazy",
      snapshotter: "soci",
    });
    assert.equal(ran.stdout, OUTPUT, `${ran.stderr}\n${host.logs()}`);
    assert.match(registry.logs(), / 206 /, "spans are fetched by ranges");
    assert.doesNotMatch(host.logs(), /downloaded whole/);
  },
);
