/**
 * What registries, indexes and layers that mean harm can do to a daemon: cost it a bounded time and a
 * bounded memory, and nothing outside the layer. Prepare either serves the layer or leaves it to
 * containerd, and the next honest image is served as ever.
 */
import assert from "node:assert/strict";
import { chainIdOf } from "../../lib/remote/image/chain.ts";
import { gzipSync, zstdCompressSync } from "node:zlib";
import {
  isRpcError,
  RpcChannel,
  SnapshotsClient,
} from "../../lib/remote/containerd/mod.ts";
import {
  type Descriptor,
  type Digest,
  MEDIA,
  sha256,
} from "../../lib/formats/oci/mod.ts";
import {
  encodeIndex,
  makeIndex,
  SOCI_MEDIA,
  ztocDescriptor,
} from "../../lib/formats/soci/mod.ts";
import { encodeZtoc } from "../../lib/formats/ztoc/mod.ts";
import { encodeCheckpoints } from "../../lib/formats/ztoc/checkpoints.ts";
import {
  run,
  type Service,
  sociDenoCommand,
  startService,
  tryRun,
} from "../support/host/mod.ts";
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
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { buildIndex, sociDeno } from "./host.ts";

const MiB = 2 ** 20;
/** The daemon's patience with one image. */
const TIMEOUT_S = 4;
/** Prepare has ended by then, whatever a registry does. */
const BOUND_MS = 15_000;
/**
 * What the daemon may take above what it takes for an honest image: a ztoc of the largest size that is
 * taken, 256 MiB, and one more that the garbage collector has not met yet.
 */
const MEMORY_MIB = 600;
/** The disk it lives on. */
const DISK_MIB = 192;
const CONFIG = `
mount_timeout_sec = ${TIMEOUT_S}
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
[http]
MaxRetries = 2
MinWaitMsec = 10
MaxWaitMsec = 100
`;

/** A daemon on a small disk, and a client in containerd's place. */
class Victim implements AsyncDisposable {
  #keys = 0;

  private constructor(
    readonly folder: string,
    readonly registry: TestRegistry,
    readonly daemon: Service,
    readonly channel: RpcChannel,
    readonly snapshots: SnapshotsClient,
  ) {}

  static async start(registry: TestRegistry): Promise<Victim> {
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-hostile-" });
    await Deno.mkdir(`${folder}/disk`);
    await run("mount", [
      ...["-t", "tmpfs", "-o", `size=${DISK_MIB}m`, "tmpfs", `${folder}/disk`],
    ]);
    await Deno.writeTextFile(`${folder}/config.toml`, CONFIG);
    const daemon = await startService({
      ...sociDenoCommand(
        ...["serve", "--address", `${folder}/s`, "--root"],
        ...[`${folder}/disk/root`, "--config", `${folder}/config.toml`],
      ),
      logFile: `${folder}/log`,
      ready: () => {
        try {
          return Deno.readTextFileSync(`${folder}/log`).includes('"serving"');
        } catch {
          return false; // nothing written yet
        }
      },
    });
    const channel = new RpcChannel({
      socketPath: `${folder}/s`,
      namespace: "default",
    });
    const snapshots = new SnapshotsClient(channel, "soci");
    return new Victim(folder, registry, daemon, channel, snapshots);
  }

  /** Asks for one layer as containerd does; whether it is served, and how long that took. */
  async prepare(
    repository: string,
    image: Image,
    layer: LayerBlob = image.layers[0]!,
  ): Promise<{ served: boolean; ms: number }> {
    const parent = await this.#unpackBelow(image, layer);
    const key = `extract-${++this.#keys}`;
    const started = performance.now();
    let served = false;
    try {
      await this.snapshots.prepare(key, parent, {
        labels: {
          "containerd.io/snapshot.ref": chainOf(image, layer),
          "containerd.io/snapshot/cri.image-ref":
            `${this.registry.host}/${repository}:1`,
          "containerd.io/snapshot/cri.manifest-digest": image.digest,
          "containerd.io/snapshot/cri.layer-digest": layer.digest,
        },
        timeoutMs: 60_000,
      });
      await this.snapshots.remove(key);
    } catch (error) {
      if (!isRpcError(error, "ALREADY_EXISTS")) throw error;
      served = true;
    }
    return { served, ms: performance.now() - started };
  }

  /** Snapshots of the layers below, as containerd has them when it comes to this one. @returns the parent. */
  async #unpackBelow({ layers }: Image, layer: LayerBlob): Promise<string> {
    let parent = "";
    for (const { diffId } of layers.slice(0, layers.indexOf(layer))) {
      const name = chainIdOf(parent as Digest | "", diffId);
      const key = `below-${++this.#keys}`;
      await this.snapshots.prepare(key, parent);
      try {
        await this.snapshots.commit(name, key);
      } catch (error) {
        if (!isRpcError(error, "ALREADY_EXISTS")) throw error;
        await this.snapshots.remove(key);
      }
      parent = name;
    }
    return parent;
  }

  /** The directory a layer is shown in. */
  directory(slotIndex = -1): string {
    const root = `${this.folder}/disk/root`;
    const slots = [...Deno.readDirSync(`${root}/layers`)]
      .map(({ name }) => Number(name)).sort((a, b) => a - b);
    return `${root}/fs/n/${slots.at(slotIndex)}`;
  }

  /** The most memory it has ever had, MiB. */
  peakMiB(): number {
    const status = Deno.readTextFileSync(`/proc/${this.daemon.pid}/status`);
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
  }

  async diskUsedMiB(): Promise<number> {
    const { stdout } = await run("du", ["-smx", `${this.folder}/disk`]);
    return Number(stdout.split("\t")[0]);
  }

  logs(): string {
    return this.daemon.logs();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.channel.close();
    await this.daemon.close("SIGINT");
    await sociDeno("stop", "--root", `${this.folder}/disk/root`);
    await tryRun("umount", ["-l", `${this.folder}/disk`]);
    await Deno.remove(this.folder, { recursive: true });
  }
}

let images = 0;

/** A new image of the given layers; what it needs to be asked for. */
async function push(
  registry: TestRegistry,
  layers: readonly LayerBlob[],
): Promise<{ repository: string; image: Image }> {
  const repository = `hostile-${++images}`;
  const image = makeImage({ layers });
  await pushImage(registry.host, `${repository}:1`, image);
  return { repository, image };
}

async function honest(registry: TestRegistry) {
  const tar = addBusybox(new TarBuilder()).dir("data")
    .file("data/file", incompressible(MiB, ++images));
  const pushed = await push(registry, [layerBlob(tar)]);
  await buildIndex(
    ...["--min-layer-size", "0"],
    `${registry.host}/${pushed.repository}:1`,
  );
  return pushed;
}

/** Puts an index beside an image whose ztoc for the first layer is what is given. */
function attach(
  registry: TestRegistry,
  { repository, image }: { repository: string; image: Image },
  ztoc: Uint8Array,
): void {
  const layer = image.layers[0]!;
  const { digest, size } = registry.addBlob(repository, ztoc);
  const descriptor: Descriptor = ztocDescriptor({
    digest,
    size,
    layer: {
      mediaType: MEDIA.ociLayerGzip,
      digest: layer.digest,
    },
    spanSizeBytes: 4 * MiB,
  });
  registry.addManifest(
    repository,
    encodeIndex(
      makeIndex({ layers: [descriptor], subject: image.descriptor }),
    ) as Uint8Array<ArrayBuffer>,
  );
}

/** Bytes without end, as fast as they are taken, or so many a second. */
function endless(
  text = "x".repeat(64 * 1024),
  everyMs = 0,
): ReadableStream<Uint8Array> {
  const chunk = new TextEncoder().encode(text);
  return new ReadableStream({
    async pull(controller) {
      if (everyMs > 0) await new Promise((done) => setTimeout(done, everyMs));
      controller.enqueue(chunk);
    },
  }, { highWaterMark: 0 });
}

const answer = (
  body: BodyInit,
  headers: Record<string, string> = {},
) => new Response(body, { headers });

const INDEX = { "content-type": MEDIA.ociIndex };
const OF = {
  manifest: /\/manifests\//,
  referrers: /\/referrers\//,
  blob: /\/blobs\//,
  anything: /./,
};

/** What a registry answers to what, in place of the truth. */
const ANSWERS: Record<
  string,
  readonly [
    on: RegExp,
    give: (path: string, registry: TestRegistry) => Response,
  ]
> = {
  "a manifest without end": [
    OF.manifest,
    () => answer(endless(), { "content-type": MEDIA.ociManifest }),
  ],
  "a manifest of one byte a second": [
    OF.manifest,
    () => answer(endless(" ", 1000), { "content-type": MEDIA.ociManifest }),
  ],
  "referrers without end": [OF.referrers, () => answer(endless(), INDEX)],
  "referrers of one byte a second": [
    OF.referrers,
    () => answer(endless(" ", 1000), INDEX),
  ],
  "pages of referrers without end": [
    OF.referrers,
    (path) =>
      answer(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: MEDIA.ociIndex,
          manifests: Array.from({ length: 500 }, referrer),
        }),
        { ...INDEX, link: `<${path}?n=${crypto.randomUUID()}>; rel="next"` },
      ),
  ],
  "nine thousand referrers that are not there": [
    OF.referrers,
    () =>
      answer(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: MEDIA.ociIndex,
          manifests: Array.from({ length: 9000 }, referrer),
        }),
        INDEX,
      ),
  ],
  "JSON of two million brackets": [
    OF.referrers,
    () => answer("[".repeat(2 * MiB), INDEX),
  ],
  "a configuration and ztocs without end": [
    OF.blob,
    () => answer(endless()),
  ],
  "redirects in a circle": [
    OF.blob,
    (path) => new Response(null, { status: 307, headers: { location: path } }),
  ],
  "a header of a megabyte": [
    OF.anything,
    () => answer("{}", { "x-large": "x".repeat(MiB) }),
  ],
  "a token without end": [
    OF.anything,
    (path, registry) =>
      path === "/token" ? answer(endless()) : new Response(null, {
        status: 401,
        headers: {
          "www-authenticate": `Bearer realm="${registry.url}/token"`,
        },
      }),
  ],
  "an error without end": [
    OF.anything,
    () =>
      new Response(endless(), {
        status: 500,
        headers: { "content-type": "application/json" },
      }),
  ],
};

function referrer() {
  return {
    mediaType: MEDIA.ociManifest,
    digest: sha256(crypto.getRandomValues(new Uint8Array(8))),
    size: 100,
    artifactType: SOCI_MEDIA.indexV1,
  };
}

/** A layer whose one file is so many zeros, in one span as its ztoc says. */
function bomb(zeros: number) {
  const tar = new TarBuilder().file("zeros", new Uint8Array(zeros)).finish();
  const blob = layerBlob(tar);
  const ztoc = encodeZtoc({
    version: "0.9",
    buildTool: "a bomb",
    compressedSize: blob.bytes.length,
    uncompressedSize: tar.length,
    entries: [{
      name: new TextEncoder().encode("zeros"),
      type: "reg",
      offset: 512,
      size: zeros,
      linkname: new Uint8Array(),
      mode: 0o644,
      uid: 0,
      gid: 0,
      uname: new Uint8Array(),
      gname: new Uint8Array(),
      modTime: "",
      devMajor: 0,
      devMinor: 0,
      xattrs: [],
    }],
    compression: "gzip",
    spanDigests: [sha256(blob.bytes)],
    checkpoints: encodeCheckpoints({
      version: 2,
      spanSize: 4 * MiB,
      checkpoints: [
        { in: 10, out: 0, bits: 0, window: new Uint8Array(32768) },
      ],
    }),
  });
  return { blob, ztoc };
}

/** The chain ID of one of an image's layers. */
function chainOf({ layers }: Image, layer: LayerBlob): string {
  return layers.slice(0, layers.indexOf(layer) + 1)
    .reduce<Digest | "">(
      (chainId, { diffId }) => chainIdOf(chainId, diffId),
      "",
    );
}

Deno.test("hostile content costs a bounded time and memory, and the next honest image is served", async (t) => {
  await using registry = startRegistry();
  await using victim = await Victim.start(registry);
  const first = await honest(registry);
  assert.ok((await victim.prepare(first.repository, first.image)).served);
  const before = victim.peakMiB();

  /** Prepares under a hostile hand, then looks whether the daemon is as before. */
  const suffers = (
    what: string,
    act: () => Promise<{ served: boolean; ms: number }>,
  ) =>
    t.step(what, async () => {
      const { served, ms } = await act();
      registry.intercept = null;
      const next = await honest(registry);
      const after = await victim.prepare(next.repository, next.image);
      const peak = victim.peakMiB() - before;
      console.log(
        `    ${served ? "served" : "left to containerd"} after ${
          Math.round(ms)
        } ms; memory at most ${Math.round(peak)} MiB more`,
      );
      assert.ok(ms < BOUND_MS, `${ms} ms`);
      assert.ok(peak < MEMORY_MIB, `${peak} MiB more`);
      assert.ok(after.served, victim.logs().slice(-2000));
    });

  for (const [what, [on, give]] of Object.entries(ANSWERS)) {
    await suffers(what, async () => {
      const { repository, image } = await honest(registry);
      registry.intercept = (path) =>
        on.test(path) ? give(path, registry) : null;
      return await victim.prepare(repository, image);
    });
  }

  await suffers("a ztoc whose one span is half a gigabyte", async () => {
    const { blob, ztoc } = bomb(512 * MiB);
    const pushed = await push(registry, [blob]);
    attach(registry, pushed, ztoc);
    const result = await victim.prepare(pushed.repository, pushed.image);
    assert.match(victim.logs(), /span 0 has \d+ bytes, over/);
    return result;
  });

  await suffers(
    "an index of two hundred layers that claim large ztocs",
    async () => {
      const layers = Array.from(
        { length: 200 },
        (_, i) => layerBlob(new TarBuilder().file(`f${i}`, String(i))),
      );
      const pushed = await push(registry, layers);
      const claims = layers.map(({ digest }) =>
        ztocDescriptor({
          digest: referrer().digest,
          size: 255 * MiB,
          layer: { mediaType: MEDIA.ociLayerGzip, digest },
          spanSizeBytes: 4 * MiB,
        })
      );
      registry.addManifest(
        pushed.repository,
        encodeIndex(
          makeIndex({ layers: claims, subject: pushed.image.descriptor }),
        ) as Uint8Array<ArrayBuffer>,
      );
      registry.intercept = (path) =>
        claims.some(({ digest }) => path.endsWith(digest))
          ? answer(endless())
          : null;
      return await victim.prepare(pushed.repository, pushed.image);
    },
  );

  await suffers(
    "a zstd layer of 16 GB in some kilobytes, which no ztoc covers",
    async () => {
      const frame = zstdCompressSync(new Uint8Array(16 * MiB));
      const bytes = new Uint8Array(frame.length * 1000);
      for (let i = 0; i < 1000; i++) bytes.set(frame, i * frame.length);
      const covered = layerBlob(new TarBuilder().file("small", "small"));
      const zstd: LayerBlob = {
        bytes,
        digest: sha256(bytes),
        diffId: sha256(new Uint8Array()),
        tarSize: 16_000 * MiB,
        packing: "zstd",
      };
      const pushed = await push(registry, [covered, zstd]);
      attach(registry, pushed, new Uint8Array(0)); // an index, so that it is asked for at all
      const result = await victim.prepare(
        pushed.repository,
        pushed.image,
        zstd,
      );
      assert.match(victim.logs(), /is nearly full: \d+ bytes of the layer/);
      assert.ok(await victim.diskUsedMiB() < DISK_MIB / 2);
      assert.ok(!result.served);
      return result;
    },
  );

  await suffers(
    "paths that climb out of a layer which no ztoc covers",
    async () => {
      const outside = `${victim.folder}/outside`;
      const up = "../".repeat(20);
      const tar = new TarBuilder()
        .file(`${up}${outside.slice(1)}`, "evil")
        .symlink("link", outside)
        .file("link/through", "evil");
      const covered = layerBlob(new TarBuilder().file("small", "small"));
      const slip = layerBlob(tar);
      const pushed = await push(registry, [covered, slip]);
      attach(registry, pushed, new Uint8Array(0));
      const result = await victim.prepare(
        pushed.repository,
        pushed.image,
        slip,
      );
      assert.throws(() => Deno.lstatSync(outside), Deno.errors.NotFound);
      return result;
    },
  );

  await suffers("a directory six thousand levels deep", async () => {
    const deep = layerBlob(
      new TarBuilder().file(`${"d/".repeat(6000)}file`, "deep"),
    );
    const covered = layerBlob(new TarBuilder().file("small", "small"));
    const pushed = await push(registry, [covered, deep]);
    attach(registry, pushed, new Uint8Array(0));
    return await victim.prepare(pushed.repository, pushed.image, deep);
  });

  await suffers("a gzip layer that is damaged in its middle", async () => {
    const bytes = new Uint8Array(gzipSync(incompressible(MiB)));
    bytes.fill(0, bytes.length >> 1);
    const covered = layerBlob(new TarBuilder().file("small", "small"));
    const damaged: LayerBlob = {
      bytes,
      digest: sha256(bytes),
      diffId: sha256(bytes),
      tarSize: MiB,
      packing: "gzip",
    };
    const pushed = await push(registry, [covered, damaged]);
    attach(registry, pushed, new Uint8Array(0));
    const result = await victim.prepare(
      pushed.repository,
      pushed.image,
      damaged,
    );
    assert.ok(!result.served);
    return result;
  });
});
