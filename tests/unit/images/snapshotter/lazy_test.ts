import assert from "node:assert/strict";
import {
  type LayerChain,
  type LayerDirectory,
  type LayerProvider,
  type LayerRequest,
  type OwnDirectories,
  type ProvidedLayer,
  Snapshotter,
} from "../../../../lib/images/snapshotter/mod.ts";
import {
  NAMESPACE_LABEL,
  REMOTE_LABEL,
  TARGET_LABEL,
} from "../../../../lib/images/snapshotter/types.ts";
import { contents, isKind, mounted, withSnapshotter } from "./support.ts";

const LAYER = `sha256:${"a".repeat(64)}`;
const OWNER = { uid: 12, gid: 34 };
const CHAIN = `sha256:${"1".repeat(64)}`;
const LABELS = { [TARGET_LABEL]: CHAIN, "source": "kept" };

/** Serves the layers it is given, and remembers what it was asked. */
class FakeProvider implements LayerProvider {
  readonly requests: LayerRequest[] = [];
  readonly released: string[] = [];
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
      });
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

  restoreLayer(): Promise<LayerDirectory | null> {
    this.restored++;
    return Promise.resolve(
      this.restorable ? { directory: this.directory, owner: OWNER } : null,
    );
  }

  releaseLayer(layerDigest: string): Promise<void> {
    this.released.push(layerDigest);
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
    assert.deepEqual(provider.released, [LAYER]);
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
    assert.deepEqual(provider.released, [LAYER]);
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
    assert.deepEqual(provider.released, [LAYER]);
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
  for (let at = 0; at < count; at++) {
    const target = `sha256:${String(at).repeat(64)}`;
    provider.own = own[at] ?? null;
    const layerDigest = `sha256:${"abc"[at]!.repeat(64)}`;
    const directory = `${provider.directory}/${at}`;
    Deno.mkdirSync(directory, { recursive: true });
    provider.answer = () =>
      Promise.resolve({ directory, owner: OWNER, layerDigest });
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
    assert.deepEqual(provider.released, [LAYER]);
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

Deno.test("where containerd has unpacked a layer in between, each part of the chain has its own", () =>
  withProvider(async (snapshotter, provider) => {
    const [base = ""] = await prepareChain(snapshotter, provider, 1, [
      own("lower"),
    ]);
    await snapshotter.prepare({ key: "unpack", parent: base });
    await snapshotter.commit({ name: "unpacked", key: "unpack" });
    provider.own = own("upper");
    await assert.rejects(
      snapshotter.prepare({ key: "k", parent: "unpacked", labels: LABELS }),
      isKind("already-exists"),
    );
    const { below, record } = provider.chains.at(-1)!;
    assert.equal(record, null);
    assert.deepEqual(below.map((part) => Object.keys(part)[0]), [
      ...["folder", "folder", "layerDigest"],
    ]);
    const mounts = await snapshotter.view({ key: "v", parent: CHAIN });
    const names = lowerOf(mounts).map((path) =>
      [...Deno.readDirSync(path)].map(({ name }) => name).join()
    );
    assert.deepEqual([names[0], names[2], names[3]], ["upper", "", "lower"]);
  }));
