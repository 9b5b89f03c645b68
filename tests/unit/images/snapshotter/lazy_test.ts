import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import { chainIdOf, CRI_LABELS } from "../../../../lib/remote/image/mod.ts";
import { stateDamages } from "../../../../lib/telemetry/mod.ts";
import {
  type LayerChain,
  type LayerProvider,
  type LayerRequest,
  type NamedImage,
  type OwnDirectories,
  type ProvidedImage,
  type ProvidedLayer,
  type ServedLayer,
  Snapshotter,
} from "../../../../lib/images/snapshotter/mod.ts";
import {
  NAMESPACE_LABEL,
  REMOTE_LABEL,
  TARGET_LABEL,
} from "../../../../lib/images/snapshotter/types.ts";
import {
  GID_MAPPING_LABEL,
  UID_MAPPING_LABEL,
} from "../../../../lib/images/snapshotter/types.ts";
import { contents, isKind, mounted, withSnapshotter } from "./support.ts";

const LAYER = `sha256:${"a".repeat(64)}`;
const SLOT = 7;
const IMAGE: ProvidedImage = {
  key: "image",
  claimant: "claimant",
  namespace: "k8s.io",
  host: "registry.example",
  repository: "team/app",
  fingerprint: "anonymous",
  reference: "registry.example/team/app:1",
  manifestDigest: `sha256:${"e".repeat(64)}`,
  indexDigest: `sha256:${"f".repeat(64)}`,
  layers: [],
};
const OWNER = { uid: 12, gid: 34 };
const CHAIN = `sha256:${"1".repeat(64)}`;
const LABELS = { [TARGET_LABEL]: CHAIN, "source": "kept" };

/** Serves the layers it is given, and remembers what it was asked. */
class FakeProvider implements LayerProvider {
  readonly requests: LayerRequest[] = [];
  readonly released: number[] = [];
  /** What `imageKey` answers. */
  key: string | null = IMAGE.key;
  restorable = true;
  restored = 0;
  answer: (request: LayerRequest) => Promise<ProvidedLayer | null>;
  readonly directory = Deno.makeTempDirSync();

  constructor() {
    Deno.writeTextFileSync(`${this.directory}/lazy`, "yes");
    this.answer = () =>
      Promise.resolve({
        directory: this.directory,
        owner: OWNER,
        layerDigest: LAYER,
        slot: SLOT,
        image: IMAGE,
        below: [],
      });
  }

  imageKey(): Promise<string | null> {
    return Promise.resolve(this.key);
  }

  proveLayer(_slot: number): Promise<string | null> {
    return Promise.resolve(null);
  }

  prepareLayer(request: LayerRequest): Promise<ProvidedLayer | null> {
    this.requests.push(request);
    return this.answer(request);
  }

  own: OwnDirectories | null = null;
  chains: LayerChain[] = [];

  ownDirectories(chain: LayerChain): Promise<OwnDirectories | null> {
    this.chains.push(chain);
    return Promise.resolve(this.own);
  }

  restoreLayer(): Promise<ServedLayer | null> {
    this.restored++;
    return Promise.resolve(
      this.restorable
        ? {
          directory: this.directory,
          owner: OWNER,
          slot: SLOT,
          layerDigest: LAYER,
        }
        : null,
    );
  }

  releaseLayer({ slot }: { slot: number }): Promise<void> {
    this.released.push(slot);
    return Promise.resolve();
  }

  usage(): Promise<{ sizeBytes: number; inodes: number }> {
    return Promise.resolve({ sizeBytes: 4096, inodes: 7 });
  }
}

async function withProvider(
  use: (
    snapshotter: Snapshotter,
    provider: FakeProvider,
    root: string,
  ) => Promise<void>,
): Promise<void> {
  const provider = new FakeProvider();
  await withSnapshotter(
    (snapshotter, root) => use(snapshotter, provider, root),
    provider,
  );
  Deno.removeSync(provider.directory, { recursive: true });
}

const prepareLazy = (snapshotter: Snapshotter, key = "extract") =>
  snapshotter.prepare({
    key,
    parent: "",
    labels: LABELS,
    namespace: "k8s.io",
  });

Deno.test("a layer that is served lazily is committed as its target, and Prepare says it exists", () =>
  withProvider(async (snapshotter, provider) => {
    await assert.rejects(prepareLazy(snapshotter), isKind("already-exists"));
    assert.throws(() => snapshotter.stat("extract"), isKind("not-found"));
    const info = snapshotter.stat(CHAIN);
    assert.equal(info.kind, "committed");
    assert.deepEqual(info.labels, {
      ...LABELS,
      [REMOTE_LABEL]: "remote snapshot",
      [NAMESPACE_LABEL]: "k8s.io",
    });
    const [request] = provider.requests;
    assert.equal(request?.chainId, CHAIN);
    assert.equal(request.key, "extract");
    assert.equal(request.labels.source, "kept");
    assert.deepEqual(await snapshotter.usage(CHAIN), {
      sizeBytes: 4096,
      inodes: 7,
    });
  }));

Deno.test("the layer of a container's snapshot is nobody's word: annotations of a pod name no layer, no image and lift no mapping", () =>
  withProvider(async (snapshotter, provider) => {
    await assert.rejects(prepareLazy(snapshotter), isKind("already-exists"));
    const asked = provider.requests.length;
    const labels = {
      [TARGET_LABEL]: `sha256:${"2".repeat(64)}`,
      [CRI_LABELS.imageRef]: "registry.example/private:1",
      [CRI_LABELS.manifestDigest]: `sha256:${"9".repeat(64)}`,
      [CRI_LABELS.layerDigest]: LAYER,
    };
    const key = `k8s.io/12/${"c5".repeat(32)}`;
    const mounts = await snapshotter.prepare({ key, parent: CHAIN, labels });
    assert.ok(mounts[0]?.options.includes(`lowerdir=${provider.directory}`));
    assert.deepEqual(await snapshotter.mounts(key), mounts);
    assert.equal(provider.requests.length, asked);
    assert.deepEqual(
      snapshotter.list([]).map(({ name }) => name).sort(),
      [
        key,
        CHAIN,
      ].sort(),
    );
    const mapped = {
      ...labels,
      [UID_MAPPING_LABEL]: "0:100000:65536",
      [GID_MAPPING_LABEL]: "0:100000:65536",
    };
    await assert.rejects(
      snapshotter.prepare({
        key: "d6".repeat(32),
        parent: CHAIN,
        labels: mapped,
      }),
      /user namespace|id-mapped|mount helper|capabilities/i,
    );
  }));

Deno.test("who provides a layer is told on which chain it is to be", () =>
  withProvider(async (snapshotter, provider) => {
    await assert.rejects(prepareLazy(snapshotter), isKind("already-exists"));
    const next = `sha256:${"3".repeat(64)}`;
    await assert.rejects(
      snapshotter.prepare({
        key: "extract-2",
        parent: CHAIN,
        labels: { [TARGET_LABEL]: next },
      }),
      isKind("already-exists"),
    );
    assert.deepEqual(
      provider.requests.map(({ chainId, parentChain }) => [
        chainId,
        parentChain,
      ]),
      [[CHAIN, ""], [next, CHAIN]],
    );
  }));

Deno.test("containerd finds the lazy snapshot by its target label and parent", () =>
  withProvider(async (snapshotter) => {
    await assert.rejects(prepareLazy(snapshotter), isKind("already-exists"));
    const found = snapshotter.list([
      `labels."containerd.io/snapshot.ref"==${CHAIN},parent==""`,
    ]);
    assert.deepEqual(found.map(({ name }) => name), [CHAIN]);
  }));

Deno.test("a container's root belongs to whom the provider says, and the layer is not looked at", () =>
  withProvider(async (snapshotter, provider) => {
    Deno.removeSync(provider.directory, { recursive: true });
    await assert.rejects(prepareLazy(snapshotter), isKind("already-exists"));
    const mounts = await snapshotter.prepare({ key: "run", parent: CHAIN });
    const upper = mounts[0]?.options.find((option) =>
      option.startsWith("upperdir=")
    ) ?? "";
    const { uid, gid } = Deno.statSync(upper.slice("upperdir=".length));
    assert.deepEqual({ uid, gid }, OWNER);
    Deno.mkdirSync(provider.directory);
  }));

Deno.test("a container on a lazy layer sees its files and writes its own", () =>
  withProvider(async (snapshotter, provider) => {
    await assert.rejects(prepareLazy(snapshotter), isKind("already-exists"));
    const mounts = await snapshotter.prepare({ key: "run", parent: CHAIN });
    assert.ok(mounts[0]?.options.includes(`lowerdir=${provider.directory}`));
    await mounted(mounts, (dir) => {
      Deno.writeTextFileSync(`${dir}/own`, "mine");
      assert.deepEqual(contents(dir), ["lazy=yes", "own=mine"]);
    });
    assert.deepEqual(contents(provider.directory), ["lazy=yes"]);
  }));

Deno.test("a view of one lazy layer lifts the flags that the layer is mounted with, a view of files of its own has none to lift", () =>
  withProvider(async (snapshotter, provider) => {
    await assert.rejects(prepareLazy(snapshotter), isKind("already-exists"));
    const served = await snapshotter.view({ key: "lazy", parent: CHAIN });
    assert.deepEqual(served, [{
      type: "bind",
      source: provider.directory,
      options: ["ro", "rbind", "suid", "dev"],
    }]);
    await snapshotter.prepare({ key: "k", parent: "" });
    await snapshotter.commit({ name: "local", key: "k" });
    const [local] = await snapshotter.view({ key: "plain", parent: "local" });
    assert.deepEqual(local?.options, ["ro", "rbind"]);
  }));

Deno.test("without a target the provider is not asked", () =>
  withProvider(async (snapshotter, provider) => {
    await snapshotter.prepare({ key: "k", parent: "" });
    await snapshotter.view({ key: "v", parent: "", labels: LABELS });
    assert.equal(provider.requests.length, 0);
  }));

Deno.test("what the provider declines or fails at is an ordinary snapshot that containerd unpacks", () =>
  withProvider(async (snapshotter, provider) => {
    const answers = [
      () => Promise.resolve(null),
      () => Promise.reject(new Error("registry is gone")),
    ];
    for (const [index, answer] of answers.entries()) {
      provider.answer = answer;
      const key = `extract${index}`;
      const [mount] = await prepareLazy(snapshotter, key);
      assert.equal(mount?.type, "bind");
      assert.equal(snapshotter.stat(key).kind, "active");
      snapshotter.remove(key);
    }
    await prepareLazy(snapshotter, "last");
    await snapshotter.commit({ name: CHAIN, key: "last" });
    assert.equal(snapshotter.stat(CHAIN).labels[REMOTE_LABEL], undefined);
    await assert.rejects(prepareLazy(snapshotter), isKind("already-exists"));
  }));

Deno.test("equal targets are asked for one after another, and once when it works", () =>
  withProvider(async (snapshotter, provider) => {
    const gate = Promise.withResolvers<void>();
    const served = provider.answer;
    provider.answer = async (request) => {
      await gate.promise;
      return await served(request);
    };
    const all = Array.from(
      { length: 5 },
      (_, index) =>
        assert.rejects(
          prepareLazy(snapshotter, `extract${index}`),
          isKind("already-exists"),
        ),
    );
    await new Promise((wake) => setTimeout(wake, 10));
    assert.equal(provider.requests.length, 1);
    gate.resolve();
    await Promise.all(all);
    assert.equal(provider.requests.length, 1);
  }));

Deno.test("a caller that gives up gets no snapshot, and the layer is released", () =>
  withProvider(async (snapshotter, provider) => {
    const abort = new AbortController();
    const served = provider.answer;
    provider.answer = (request) => {
      abort.abort();
      return served(request);
    };
    await assert.rejects(
      snapshotter.prepare({
        key: "k",
        parent: "",
        labels: LABELS,
        signal: abort.signal,
      }),
      isKind("cancelled"),
    );
    assert.deepEqual(snapshotter.list(), []);
    await snapshotter.cleanup();
    assert.deepEqual(provider.released, [SLOT]);
  }));

Deno.test("a chain that was unpacked on another parent gets a lazy snapshot of its own", () =>
  withProvider(async (snapshotter, provider) => {
    provider.answer = () => Promise.resolve(null);
    await snapshotter.prepare({ key: "a", parent: "" });
    await snapshotter.commit({ name: "base a", key: "a" });
    await snapshotter.prepare({ key: "b", parent: "" });
    await snapshotter.commit({ name: "base b", key: "b" });
    provider.answer = () =>
      Promise.resolve({
        directory: provider.directory,
        owner: OWNER,
        layerDigest: LAYER,
        slot: SLOT,
        image: IMAGE,
        below: [],
      });
    for (const parent of ["base a", "base b", "base b"]) {
      await assert.rejects(
        snapshotter.prepare({ key: "k", parent, labels: LABELS }),
        isKind("already-exists"),
      );
      const found = snapshotter.list([
        `labels."containerd.io/snapshot.ref"==${CHAIN},parent=="${parent}"`,
      ]);
      assert.equal(found.length, 1);
    }
    assert.equal(provider.requests.length, 2);
  }));

Deno.test("a layer is released with the last snapshot that uses it", () =>
  withProvider(async (snapshotter, provider) => {
    const other = `sha256:${"2".repeat(64)}`;
    for (const chain of [CHAIN, other]) {
      await assert.rejects(
        snapshotter.prepare({
          key: "k",
          parent: "",
          labels: { [TARGET_LABEL]: chain },
        }),
        isKind("already-exists"),
      );
    }
    snapshotter.remove(CHAIN);
    await snapshotter.cleanup();
    assert.deepEqual(provider.released, []);
    snapshotter.remove(other);
    await snapshotter.cleanup();
    assert.deepEqual(provider.released, [SLOT]);
  }));

Deno.test("a layer that is just being prepared is not released under it", () =>
  withProvider(async (snapshotter, provider) => {
    await assert.rejects(prepareLazy(snapshotter), isKind("already-exists"));
    const gate = Promise.withResolvers<ProvidedLayer>();
    provider.answer = () => gate.promise;
    const second = assert.rejects(
      snapshotter.prepare({
        key: "k",
        parent: "",
        labels: { [TARGET_LABEL]: "other chain" },
      }),
      isKind("already-exists"),
    );
    await new Promise((wake) => setTimeout(wake, 5));
    snapshotter.remove(CHAIN);
    gate.resolve({
      directory: provider.directory,
      owner: OWNER,
      layerDigest: LAYER,
      slot: SLOT,
      image: IMAGE,
      below: [],
    });
    await second;
    await snapshotter.cleanup();
    assert.deepEqual(provider.released, []);
  }));

Deno.test("after a restart lazy layers are asked for again, and may be somewhere else", async () => {
  const root = Deno.makeTempDirSync();
  const before = new FakeProvider();
  {
    await using snapshotter = await Snapshotter.open({
      root,
      provider: before,
    });
    await assert.rejects(prepareLazy(snapshotter), isKind("already-exists"));
    await snapshotter.prepare({ key: "run", parent: CHAIN });
  }
  const after = new FakeProvider();
  {
    await using snapshotter = await Snapshotter.open({ root, provider: after });
    assert.equal(after.restored, 1);
    const [mount] = await snapshotter.mounts("run");
    assert.ok(mount?.options.includes(`lowerdir=${after.directory}`));
  }
  for (const folder of [root, before.directory, after.directory]) {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("a layer that cannot be restored is unavailable, leaves nothing behind, and is tried again", async () => {
  const root = Deno.makeTempDirSync();
  const provider = new FakeProvider();
  {
    await using snapshotter = await Snapshotter.open({ root, provider });
    await assert.rejects(prepareLazy(snapshotter), isKind("already-exists"));
    await snapshotter.prepare({ key: "run", parent: CHAIN });
  }
  provider.restorable = false;
  {
    await using snapshotter = await Snapshotter.open({ root, provider });
    await assert.rejects(snapshotter.mounts("run"), isKind("unavailable"));
    await assert.rejects(
      snapshotter.prepare({ key: "new", parent: CHAIN }),
      isKind("unavailable"),
    );
    assert.throws(() => snapshotter.stat("new"), isKind("not-found"));
    provider.restorable = true;
    await snapshotter.prepare({ key: "new", parent: CHAIN });
    snapshotter.remove("new");
    snapshotter.remove("run");
    snapshotter.remove(CHAIN);
    await snapshotter.cleanup();
    assert.deepEqual(provider.released, [SLOT]);
  }
  for (const folder of [root, provider.directory]) {
    Deno.removeSync(folder, { recursive: true });
  }
});

/** A lazy chain of layers over one another; each prepared as the target of its number. */
async function prepareChain(
  snapshotter: Snapshotter,
  provider: FakeProvider,
  count: number,
  own: readonly (OwnDirectories | null)[],
): Promise<string[]> {
  const chain: string[] = [];
  const layers: ServedLayer[] = [];
  for (let at = 0; at < count; at++) {
    const target = `sha256:${String(at).repeat(64)}`;
    provider.own = own[at] ?? null;
    const directory = `${provider.directory}/${at}`;
    Deno.mkdirSync(directory, { recursive: true });
    const layer: ServedLayer = {
      ...{ directory, owner: OWNER, slot: at + 1 },
      layerDigest: `sha256:${"abc"[at]!.repeat(64)}`,
    };
    const below = layers.slice();
    layers.push(layer);
    provider.answer = () => Promise.resolve({ ...layer, image: IMAGE, below });
    await assert.rejects(
      snapshotter.prepare({
        key: `extract${at}`,
        parent: chain.at(-1) ?? "",
        labels: { [TARGET_LABEL]: target },
      }),
      isKind("already-exists"),
    );
    chain.push(target);
  }
  return chain;
}

const own = (record: string): OwnDirectories => ({
  record,
  write(folder) {
    Deno.mkdirSync(`${folder}/${record}`);
    return Promise.resolve();
  },
});

const lowerOf = (mounts: readonly { options: readonly string[] }[]) =>
  mounts[0]?.options.find((option) => option.startsWith("lowerdir="))
    ?.slice("lowerdir=".length).split(":") ?? [];

Deno.test("a chain's own directories are its topmost lower, and go with its snapshot", () =>
  withProvider(async (snapshotter, provider, root) => {
    const chain = await prepareChain(snapshotter, provider, 3, [
      null,
      own("second"),
      own("third"),
    ]);
    assert.deepEqual(provider.chains.map(({ record }) => record), [
      null,
      null,
      "second",
    ]);
    assert.equal(provider.chains[2]?.below.length, 2);
    for (const [at, name] of [[1, "second"], [2, "third"]] as const) {
      const mounts = await snapshotter.view({
        key: `view${at}`,
        parent: chain[at]!,
      });
      const [top = "", ...layers] = lowerOf(mounts);
      assert.deepEqual([...Deno.readDirSync(top)].map((e) => e.name), [name]);
      // Only the uppermost chain's, then the layers, nearest first.
      assert.equal(layers.length, at + 1);
      assert.ok(layers.every((path) => path.startsWith(provider.directory)));
      snapshotter.remove(`view${at}`);
    }
    assert.equal(
      (await snapshotter.view({ key: "v", parent: chain[0]! }))[0]?.type,
      "bind",
    );
    snapshotter.remove("v");
    for (const name of chain.toReversed()) snapshotter.remove(name);
    await snapshotter.cleanup();
    assert.deepEqual(
      [...Deno.readDirSync(`${root}/snapshotter/snapshots`)],
      [],
    );
  }));

Deno.test("a chain whose own directories cannot be made is left to containerd, and nothing stays", () =>
  withProvider(async (snapshotter, provider, root) => {
    provider.own = {
      record: "",
      write: () => Promise.reject(new Error("disk full")),
    };
    const mounts = await snapshotter.prepare({
      key: "extract",
      parent: "",
      labels: LABELS,
    });
    assert.equal(mounts.length, 1);
    assert.throws(() => snapshotter.stat(CHAIN), isKind("not-found"));
    await snapshotter.cleanup();
    assert.equal(
      [...Deno.readDirSync(`${root}/snapshotter/snapshots`)].length,
      1,
    );
    assert.deepEqual(provider.released, [SLOT]);
  }));

Deno.test("own directories are there after a restart, and what a kill left half-made is not", async () => {
  const provider = new FakeProvider();
  const root = Deno.makeTempDirSync();
  let chain: string[];
  {
    await using snapshotter = await Snapshotter.open({ root, provider });
    chain = await prepareChain(snapshotter, provider, 1, [own("kept")]);
  }
  const snapshots = `${root}/snapshotter/snapshots`;
  Deno.mkdirSync(`${snapshots}/new-half/fs/x`, { recursive: true });
  {
    await using snapshotter = await Snapshotter.open({ root, provider });
    const mounts = await snapshotter.prepare({ key: "run", parent: chain[0]! });
    const [top = ""] = lowerOf(mounts);
    assert.deepEqual([...Deno.readDirSync(top)].map((e) => e.name), ["kept"]);
    assert.equal([...Deno.readDirSync(snapshots)].length, 2);
  }
  for (const path of [root, provider.directory]) {
    Deno.removeSync(path, { recursive: true });
  }
});

for (
  const [how, damage] of [
    ["lost", (path: string) => Deno.removeSync(path)],
    ["truncated", (path: string) => Deno.truncateSync(path, 20)],
    ["flipped", (path: string) => {
      const bytes = Deno.readFileSync(path);
      Deno.writeFileSync(path, bytes.with(3, bytes[3]! ^ 1));
    }],
  ] as const
) {
  Deno.test(`where the record of a chain's directories is ${how}, it is told, and the layer above is left to containerd`, () =>
    withProvider(async (snapshotter, provider, root) => {
      const [base = ""] = await prepareChain(snapshotter, provider, 1, [
        own('{"a":1}'),
      ]);
      const [{ name = "" } = {}] = Deno.readDirSync(
        `${root}/snapshotter/snapshots`,
      );
      const path = `${root}/snapshotter/snapshots/${name}/directories`;
      damage(path);
      provider.own = null;
      const mounts = await snapshotter.prepare({
        key: "extract",
        parent: base,
        labels: LABELS,
      });
      assert.equal(mounts.length, 1);
      assert.ok(stateDamages().some((damage) => damage.path === path));
    }));
}

Deno.test("where containerd has unpacked a layer in between, each part of the chain has its own", () =>
  withProvider(async (snapshotter, provider) => {
    const [base = ""] = await prepareChain(snapshotter, provider, 1, [
      own("lower"),
    ]);
    await snapshotter.prepare({ key: "unpack", parent: base });
    await snapshotter.commit({ name: "unpacked", key: "unpack" });
    provider.own = own("upper");
    const at = { owner: OWNER, layerDigest: LAYER };
    const lowest = { ...at, directory: `${provider.directory}/0`, slot: 1 };
    provider.answer = () =>
      Promise.resolve({
        ...{ ...at, directory: provider.directory, slot: 2 },
        ...{ image: IMAGE, below: [lowest, null] },
      });
    await assert.rejects(
      snapshotter.prepare({ key: "k", parent: "unpacked", labels: LABELS }),
      isKind("already-exists"),
    );
    const { below, record } = provider.chains.at(-1)!;
    assert.equal(record, null);
    assert.deepEqual(below.map((part) => Object.keys(part)[0]), [
      ...["folder", "folder", "slot"],
    ]);
    const mounts = await snapshotter.view({ key: "v", parent: CHAIN });
    const names = lowerOf(mounts).map((path) =>
      [...Deno.readDirSync(path)].map(({ name }) => name).join()
    );
    assert.deepEqual([names[0], names[2], names[3]], ["upper", "", "lower"]);
  }));

const BASE_DIFF = sha256(Uint8Array.of(3));
const TOP_DIFF = sha256(Uint8Array.of(4));
const TOP_CHAIN = chainIdOf(BASE_DIFF, TOP_DIFF);
const image = (name: string, digit: string) => ({
  [CRI_LABELS.imageRef]: `registry.example/${name}:1`,
  [CRI_LABELS.manifestDigest]: `sha256:${digit.repeat(64)}`,
});

/** A base that one image brought, and on it the top of another one, which has a base of its own. */
async function sharedPrefix(snapshotter: Snapshotter, provider: FakeProvider) {
  const at = (name: string) => `${provider.directory}/${name}`;
  const layer = (name: string, slot: number): ServedLayer => ({
    directory: at(name),
    owner: OWNER,
    slot,
    layerDigest: LAYER,
  });
  provider.answer = () =>
    Promise.resolve({ ...layer("evil-base", 1), image: IMAGE, below: [] });
  await assert.rejects(
    snapshotter.prepare({
      key: "k",
      parent: "",
      labels: { [TARGET_LABEL]: BASE_DIFF, ...image("evil", "a") },
    }),
    isKind("already-exists"),
  );
  provider.key = "other";
  provider.answer = () =>
    Promise.resolve({
      ...layer("good-top", 3),
      image: { ...IMAGE, key: "other", claimant: "other" },
      below: [layer("good-base", 2)],
    });
  await assert.rejects(
    snapshotter.prepare({
      key: "k",
      parent: BASE_DIFF,
      labels: { [TARGET_LABEL]: TOP_CHAIN, ...image("good", "b") },
    }),
    isKind("already-exists"),
  );
  return at;
}

const lowerdir = (options: readonly string[] = []) =>
  options.find((option) => option.startsWith("lowerdir="))
    ?.slice("lowerdir=".length).split(":");

Deno.test("the nearest snapshot that names an image decides for all layers below it, by their position", () =>
  withProvider(async (snapshotter, provider) => {
    const at = await sharedPrefix(snapshotter, provider);
    const [good] = await snapshotter.prepare({ key: "g", parent: TOP_CHAIN });
    assert.deepEqual(lowerdir(good?.options), [
      at("good-top"),
      at("good-base"),
    ]);
    // Committed locally, without labels: the image below it still decides.
    await snapshotter.commit({ name: "local", key: "g" });
    const [above] = await snapshotter.prepare({ key: "l", parent: "local" });
    assert.deepEqual(lowerdir(above?.options)?.slice(1), [
      at("good-top"),
      at("good-base"),
    ]);
    snapshotter.remove("l");
    snapshotter.remove("local");
    snapshotter.remove(TOP_CHAIN);
    await snapshotter.cleanup();
    assert.deepEqual(provider.released.sort(), [2, 3]);
  }));

Deno.test("directories that another image's layers imply are made anew for this image, and shown only where their layers are proven", () =>
  withProvider(async (snapshotter, provider) => {
    provider.own = own("evil");
    await sharedPrefix(snapshotter, provider);
    const [evil, good] = provider.chains;
    assert.equal(evil?.record, null);
    assert.deepEqual(good, { slot: 3, below: [{ slot: 2 }] });
    const asked: number[] = [];
    const proven = new Set<number>();
    provider.proveLayer = (slot) => {
      asked.push(slot);
      return Promise.resolve(proven.has(slot) ? BASE_DIFF : null);
    };
    await assert.rejects(
      snapshotter.view({
        key: "v",
        parent: BASE_DIFF,
        labels: image("x", "d"),
      }),
      isKind("unavailable"),
    );
    proven.add(1);
    const mounts = await snapshotter.view({
      key: "v",
      parent: BASE_DIFF,
      labels: image("x", "d"),
    });
    assert.equal(lowerOf(mounts).length, 2);
    assert.deepEqual(new Set(asked), new Set([1]));
  }));

Deno.test("an image without an index gets what others brought only when it is proven to be its chain", () =>
  withProvider(async (snapshotter, provider) => {
    await sharedPrefix(snapshotter, provider);
    const unpack = (key: string) =>
      snapshotter.prepare({
        key,
        parent: BASE_DIFF,
        labels: image("victim", "c"),
      });
    for (const proven of [null, TOP_DIFF]) {
      provider.proveLayer = () => Promise.resolve(proven);
      await assert.rejects(unpack("unpack"), isKind("unavailable"));
      assert.throws(() => snapshotter.stat("unpack"), isKind("not-found"));
    }
    provider.proveLayer = () => Promise.resolve(BASE_DIFF);
    await unpack("unpack");
    await snapshotter.commit({
      name: "victim",
      key: "unpack",
      labels: image("victim", "c"),
    });
    await snapshotter.prepare({ key: "run", parent: "victim" });
    provider.proveLayer = () => Promise.resolve(TOP_DIFF);
    await assert.rejects(
      snapshotter.prepare({ key: "again", parent: "victim" }),
      isKind("unavailable"),
    );
  }));

Deno.test("a snapshot of another image or namespace answers no Prepare, and each namespace sees its own first", () =>
  withProvider(async (snapshotter, provider) => {
    await assert.rejects(prepareLazy(snapshotter), isKind("already-exists"));
    provider.key = "of another claimant";
    provider.answer = () => Promise.resolve(null);
    await snapshotter.prepare({
      key: "other",
      parent: "",
      labels: LABELS,
      namespace: "other",
    });
    assert.equal(provider.requests.length, 2);
    provider.answer = () =>
      Promise.resolve({
        ...{ directory: provider.directory, owner: OWNER, layerDigest: LAYER },
        ...{
          slot: 9,
          below: [],
          image: { ...IMAGE, key: "of another claimant" },
        },
      });
    await assert.rejects(
      snapshotter.prepare({
        key: "k",
        parent: "",
        labels: LABELS,
        namespace: "other",
      }),
      isKind("already-exists"),
    );
    const filter = [
      `labels."containerd.io/snapshot.ref"==${CHAIN},kind==committed`,
    ];
    const first = (namespace: string) =>
      snapshotter.list(filter, namespace)[0]?.labels[NAMESPACE_LABEL];
    assert.equal(first("k8s.io"), "k8s.io");
    assert.equal(first("other"), "other");
  }));

Deno.test("a chain that images of two repositories share is proven before a container runs on it, unless their ztocs are the same", async () => {
  const provider = new FakeProvider();
  const root = Deno.makeTempDirSync();
  const other: NamedImage = {
    host: "other.example",
    repository: "app",
    manifestDigest: `sha256:${"c".repeat(64)}`,
    indexDigest: null,
  };
  const own: NamedImage = { ...IMAGE, indexDigest: IMAGE.indexDigest };
  let images: NamedImage[] = [];
  const asked: string[] = [];
  let proven: string | null = null;
  provider.proveLayer = () => Promise.resolve(proven);
  {
    await using snapshotter = await Snapshotter.open({
      root,
      provider,
      catalog: {
        ofChain(namespace, chainId) {
          asked.push(`${namespace} ${chainId}`);
          return images.length === 0
            ? Promise.reject(new Error("containerd is away"))
            : Promise.resolve(images);
        },
      },
    });
    await assert.rejects(
      snapshotter.prepare({
        key: "k",
        parent: "",
        labels: { [TARGET_LABEL]: BASE_DIFF },
        namespace: "k8s.io",
      }),
      isKind("already-exists"),
    );
    const run = (key: string) =>
      snapshotter.prepare({ key, parent: BASE_DIFF, namespace: "k8s.io" });
    await run("unknown"); // containerd does not answer
    images = [own, { ...own, manifestDigest: other.manifestDigest }];
    await run("own repository");
    images = [own, { ...other, indexDigest: IMAGE.indexDigest }];
    await run("same index");
    images = [own, other];
    for (const wrong of [null, TOP_DIFF]) {
      proven = wrong;
      await assert.rejects(run("contested"), (error: Error) => {
        assert.ok(isKind("unavailable")(error));
        assert.match(error.message, /other\.example\/app and one of/);
        return true;
      });
    }
    proven = BASE_DIFF;
    await run("contested");
    proven = null;
    const before = asked.length;
    await snapshotter.mounts("contested");
    assert.equal(asked.length, before, "what exists is not asked about");
    assert.equal(asked[0], `k8s.io ${BASE_DIFF}`);
  }
  for (const path of [root, provider.directory]) {
    Deno.removeSync(path, { recursive: true });
  }
});

Deno.test("where the caller does not say its namespace, a list begins with what its Prepare was answered with, and other answers wait for it", () =>
  withProvider(async (snapshotter, provider) => {
    const prepare = (namespace: string) => {
      provider.key = namespace;
      provider.answer = () =>
        Promise.resolve({
          ...{ directory: provider.directory, owner: OWNER },
          ...{ layerDigest: LAYER, slot: 1, below: [] },
          image: { ...IMAGE, key: namespace },
        });
      return assert.rejects(
        snapshotter.prepare({
          key: `${namespace}/1/extract`,
          parent: "",
          labels: LABELS,
        }),
        isKind("already-exists"),
      );
    };
    const list = () =>
      snapshotter.list([
        `labels."containerd.io/snapshot.ref"==${CHAIN},parent==""`,
      ])[0]?.labels[NAMESPACE_LABEL];
    await prepare("one");
    let answered = false;
    const two = prepare("two").then(() => answered = true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(answered, false);
    snapshotter.list(); // of everything, for nobody
    assert.equal(list(), "one");
    await two;
    assert.equal(list(), "two");
    await prepare("one");
    assert.equal(list(), "one");
  }));
