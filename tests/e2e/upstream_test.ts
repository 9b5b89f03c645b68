/**
 * The existing tool's recent release beside ours: the same indexes wherever both make one, and what only
 * it makes is served or unpacked.
 */
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { ctrRun, run } from "../support/host/mod.ts";
import {
  addBusybox,
  compressible,
  type Image,
  imageIndex,
  type ImageSet,
  incompressible,
  joinBytes,
  type LayerBlob,
  layerBlob,
  makeImage,
  oddImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import {
  sociRelease,
  startSociPeer,
  testWithSociRelease,
} from "../support/peer/mod.ts";
import { LazyHost } from "./host.ts";
import { digestsIn, ToolsHost, toolsIndex } from "./tools_host.ts";

const FLAGS = ["--min-layer-size", "0", "--span-size", "524288"];
const DATA = compressible(3 * 2 ** 20);

const base = () =>
  layerBlob(addBusybox(new TarBuilder()).dir("etc").file("etc/name", "x"));
const withBase = (...layers: LayerBlob[]): Image =>
  makeImage({
    layers: [base(), ...layers],
    config: { env: ["PATH=/bin"], cmd: ["/bin/sh"] },
  });

/** A gzip layer of any bytes around the tar's. */
function wrapped(tar: TarBuilder, before: Uint8Array, after: Uint8Array) {
  const { bytes, ...layer } = layerBlob(tar);
  const all = joinBytes([before, bytes, after]);
  return { ...layer, bytes: all, digest: sha256(all) };
}

const EMPTY_MEMBER = gzipSync(new Uint8Array(0));
const NOTHING = new Uint8Array(0);
const data = () => new TarBuilder().dir("data").file("data/file", DATA);
const emptyFirst = () =>
  withBase(wrapped(data(), joinBytes([EMPTY_MEMBER, EMPTY_MEMBER]), NOTHING));

/** A file of holes, as GNU tar packs it in the PAX format. */
async function sparse(): Promise<{ image: Image; content: Uint8Array }> {
  const folder = await Deno.makeTempDir();
  try {
    const content = new Uint8Array(300_000);
    content.set(incompressible(20_000), 200_000);
    await Deno.writeFile(`${folder}/file`, content);
    await run("fallocate", ["--dig-holes", `${folder}/file`]);
    // Enough follows it that its size, too large by its holes, seems to fit into the tar.
    await Deno.writeFile(`${folder}/more`, incompressible(500_000));
    await run("tar", [
      ...["--create", "--sparse", "--format=posix", "--owner=0", "--group=0"],
      ...["--file", `${folder}/tar`, "--directory", folder, "file", "more"],
    ]);
    const tar = await Deno.readFile(`${folder}/tar`);
    assert.ok(tar.length < 600_000, "GNU tar saw the holes");
    return { image: withBase(layerBlob(tar)), content };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A host of ours, and the command line of the release on it. */
async function startBoth() {
  const stack = new AsyncDisposableStack();
  const peer = stack.use(await startSociPeer(await sociRelease()));
  const host = stack.use(await ToolsHost.start());
  /** The digest of the index that a tool made of an image; null where it made none. */
  const made = async (
    ref: string,
    run: (...args: string[]) => Promise<string>,
    flags: readonly string[],
  ) => {
    try {
      await run("create", ...FLAGS, ...flags, ref);
    } catch {
      return null; // told by each tool in its own words
    }
    return digestsIn(await run("index", "list", "-q", "--ref", ref))[0] ?? null;
  };
  return {
    host,
    theirs: (...args: string[]) => peer.soci(host.containerd, ...args),
    async indexes(name: string, image: Image | ImageSet, flags: string[] = []) {
      const ref = await host.add(name, image);
      return {
        ref,
        ours: await made(ref, (...args) => host.soci(...args), flags),
        theirs: await made(
          ref,
          (...args) => peer.soci(host.containerd, ...args),
          flags,
        ),
      };
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

testWithSociRelease(
  "our indexes are the existing tool's, digest by digest, but for what is different on purpose",
  async (t) => {
    await using both = await startBoth();
    const dots = new TarBuilder().dir("./").dir("./data")
      .file("./data/file", DATA);
    for (
      const [what, image] of [
        ["every kind of entry", oddImage()],
        [
          "several members",
          withBase(layerBlob(data(), { compression: "gzip-multi" })),
        ],
        [
          "an uncompressed layer",
          withBase(layerBlob(data(), { compression: "none" })),
        ],
        ["a zstd layer", withBase(layerBlob(data(), { compression: "zstd" }))],
        ["names that begin with ./", withBase(layerBlob(dots))],
        ["two platforms", toolsIndex()],
      ] as const
    ) {
      await t.step(`${what}: equal`, async () => {
        const name = `equal-${what.replaceAll(/\W+/g, "")}:1`.toLowerCase();
        const { ours, theirs } = await both.indexes(name, image);
        assert.ok(theirs !== null);
        assert.equal(ours, theirs);
      });
    }

    await t.step(
      "empty members at the beginning: theirs has empty spans",
      async () => {
        const { ours, theirs } = await both.indexes("empty:1", emptyFirst());
        assert.ok(ours !== null && theirs !== null);
        assert.notEqual(ours, theirs);
      },
    );

    await t.step(
      "a sparse file: theirs is of a wrong size, ours leaves the layer out",
      async () => {
        const { image } = await sparse();
        const { ours, theirs } = await both.indexes("sparse:1", image);
        assert.ok(ours !== null && theirs !== null);
        assert.notEqual(ours, theirs);
      },
    );

    await t.step(
      "a zstd layer of several frames: ours alone lists it",
      async () => {
        const image = withBase(
          layerBlob(data(), { compression: "zstd-multi" }),
        );
        const { ref, ours, theirs } = await both.indexes("frames:1", image);
        assert.ok(ours !== null && theirs !== null);
        assert.notEqual(ours, theirs);
        // Their tool reads the index, and what it says of this one.
        await both.theirs("index", "info", theirs);
        const listed = await both.host.soci("ztoc", "list", "--image-ref", ref);
        assert.ok(listed.includes(image.layers[1]!.digest), listed);
      },
    );

    for (
      const [what, before, after] of [
        ["zeros behind the last member", NOTHING, new Uint8Array(10_000)],
        ["noise behind the last member", NOTHING, incompressible(10_000)],
      ] as const
    ) {
      await t.step(`${what}: ours alone`, async () => {
        const name = `${what.split(" ")[0]}:1`;
        const image = withBase(wrapped(data(), before, after));
        const { ours, theirs } = await both.indexes(name, image);
        assert.ok(ours !== null);
        assert.notEqual(ours, theirs);
      });
    }

    const converted = async (ref: string, flags: string[] = []) => {
      const [a, b] = [`${ref}-theirs`, `${ref}-ours`];
      const all = ["convert", "--min-layer-size", "0", ...flags, ref];
      await both.theirs(...all, a);
      await both.host.soci(...all, b);
      const images = await both.host.containerd.ctr("images", "ls");
      const of = (name: string) =>
        digestsIn(
          images.split("\n").find((line) => line.startsWith(name))!,
        )[0]!;
      return { theirs: of(a), ours: of(b) };
    };

    await t.step(
      "a prefetch list of names that begin with ./: ours finds the file",
      async () => {
        const flags = ["--prefetch-file", "/data/file"];
        const plain = await both.host.add(
          "names:1",
          withBase(layerBlob(data())),
        );
        const same = await converted(plain, flags);
        assert.equal(same.ours, same.theirs);
        const dotted = await both.host.add(
          "names:2",
          withBase(layerBlob(dots)),
        );
        const other = await converted(dotted, flags);
        assert.notEqual(other.ours, other.theirs);
        const without = await converted(dotted);
        assert.equal(without.theirs, other.theirs, "they found nothing");
      },
    );

    await t.step(
      "one platform of Docker's types: equal of what containerd has, at the registry are all",
      async () => {
        const { host } = both;
        const mediaTypes = "docker";
        const images = ["amd64", "arm64"].map((architecture) =>
          makeImage({
            layers: [layerBlob(data())],
            platform: { os: "linux", architecture },
            mediaTypes,
          })
        );
        const image = imageIndex(images, { mediaTypes });
        await pushImage(host.registry.host, "docker:1", image);
        const ref = host.ref("docker:1");
        await host.containerd.ctr(
          ...["content", "fetch", "--plain-http", "--platform", "linux/amd64"],
          ref,
        );
        const { theirs, ours } = await converted(ref);
        assert.equal(ours, theirs);
        const built = await host.tool(
          ...["build-index", "--min-layer-size", "0"],
          ...["--platform", "linux/amd64", "--to", "built", ref],
        );
        assert.notEqual(digestsIn(built).at(-1), theirs);
      },
    );
  },
);

for (
  const [what, make, outcomes, command] of [
    [
      "with empty spans is served",
      () => Promise.resolve({ image: emptyFirst(), content: DATA }),
      ["served", "served"],
      "sha256sum < /data/file",
    ],
    [
      "of a sparse file is not used: containerd unpacks the layer",
      sparse,
      ["served", "unpacked"],
      "sha256sum < /file",
    ],
  ] as const
) {
  testWithSociRelease(
    `a ztoc that the existing tool made ${what}`,
    async () => {
      const { image, content } = await make();
      await using both = await startBoth();
      const ref = await both.host.add("theirs:1", image);
      await both.theirs("create", ...FLAGS, ref);
      await both.theirs("push", "--plain-http", ref);
      await using host = await LazyHost.start();
      const pulled = await host.pull(ref);
      assert.deepEqual(
        pulled.layers.map(({ outcome }) => outcome),
        outcomes,
        host.logs(),
      );
      const ran = await ctrRun(host.containerd, {
        image: ref,
        id: "theirs",
        snapshotter: "soci",
        args: ["/bin/sh", "-c", command],
      });
      assert.equal(
        ran.stdout.split(" ")[0],
        sha256(content).slice("sha256:".length),
        `${ran.stderr}\n${host.logs()}`,
      );
    },
  );
}
