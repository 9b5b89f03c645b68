/** Images of many layers and nodes of many snapshots: what a call reads is counted. */
import assert from "node:assert/strict";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import {
  type ChainsOptions,
  SnapshotChains,
} from "../../../../lib/images/snapshotter/chains.ts";
import { targetsOf } from "../../../../lib/images/snapshotter/filter.ts";
import { SnapshotStore } from "../../../../lib/images/snapshotter/store.ts";
import { TARGET_LABEL } from "../../../../lib/images/snapshotter/types.ts";
import { withSnapshotter } from "./support.ts";

const DEPTH = 200;
const IMAGE = {
  ...{ key: "image", claimant: "claimant", namespace: "k8s.io" },
  ...{ host: "registry.example", repository: "team/app" },
  ...{ fingerprint: "anonymous", reference: "registry.example/team/app:1" },
  ...{ manifestDigest: "manifest", indexDigest: "index", layers: [] },
};
const OWNER = { uid: 0, gid: 0 };
const nameOf = (at: number) => at < 0 ? "" : `chain-${at}`;
const layerAt = (at: number) => ({
  ...{ slot: at + 1, layerDigest: `layer-${at}`, owner: OWNER },
  directory: `/layers/${at + 1}`,
});

/** A store with a chain of lazily served snapshots. */
function deepStore(path: string, depth = DEPTH): SnapshotStore {
  const store = new SnapshotStore(path);
  for (let at = 0; at < depth; at++) {
    store.insert({
      ...{ name: nameOf(at), parent: nameOf(at - 1), kind: "committed" },
      labels: { [TARGET_LABEL]: nameOf(at) },
      layer: {
        ...{ ...layerAt(at), chainId: nameOf(at), image: IMAGE },
        below: Array.from({ length: at }, (_, below) => layerAt(below)),
      },
    });
  }
  return store;
}

/** Chains of a database, and how many rows they have read. */
function countedChains(database: DatabaseSync) {
  let rows = 0;
  const prepare = (sql: string) => {
    const statement = database.prepare(sql);
    return {
      all(...values: string[]) {
        const read = statement.all(...values);
        rows += read.length;
        return read;
      },
    } as unknown as StatementSync;
  };
  const labelsOf: ChainsOptions["labelsOf"] = (name) => ({ of: name });
  return {
    chains: new SnapshotChains({ prepare, labelsOf }),
    rows: () => rows,
  };
}

async function withFolder(
  use: (folder: string) => void | Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the layers of a deep image are prepared one after another, and each reads one row of the chain below", () =>
  withFolder((folder) => {
    using _store = deepStore(`${folder}/metadata.db`);
    const database = new DatabaseSync(`${folder}/metadata.db`);
    const { chains, rows } = countedChains(database);
    for (let at = 0; at < DEPTH; at++) {
      const chain = chains.of(nameOf(at), nameOf(at - 1));
      assert.equal(chain.length, at + 1);
      assert.equal(chain[0]!.name, nameOf(at));
      assert.equal(chain.at(-1)!.name, nameOf(0));
      assert.deepEqual(chain[0]!.layer, { chainId: nameOf(at) });
      assert.deepEqual(chain[0]!.labels, { of: nameOf(at) });
    }
    assert.equal(rows(), DEPTH);
    // Containers on it read nothing more.
    chains.of(nameOf(DEPTH - 1), nameOf(DEPTH - 2));
    assert.equal(rows(), DEPTH);
    database.close();
  }));

Deno.test("a chain that nobody asked for before is read whole, and what is remembered is bounded", () =>
  withFolder((folder) => {
    using _store = deepStore(`${folder}/metadata.db`);
    const database = new DatabaseSync(`${folder}/metadata.db`);
    const { chains, rows } = countedChains(database);
    const all = chains.of(nameOf(DEPTH - 1), nameOf(DEPTH - 2));
    assert.deepEqual(
      all.map(({ name }) => name),
      Array.from({ length: DEPTH }, (_, at) => nameOf(DEPTH - 1 - at)),
    );
    assert.equal(rows(), DEPTH);
    // 200 chains of up to 200 snapshots are far more than is remembered: the first one has to be read again.
    for (let at = 1; at < DEPTH; at++) chains.of(nameOf(at), nameOf(at - 1));
    const before = rows();
    chains.of(nameOf(0), "");
    chains.of(nameOf(150), nameOf(149));
    assert.ok(rows() > before);
    database.close();
  }));

Deno.test("a chain whose uppermost snapshot was removed and made again on another parent is the new one", () =>
  withFolder((folder) => {
    using store = deepStore(`${folder}/metadata.db`, 3);
    assert.deepEqual(store.chain(nameOf(2)).map(({ name }) => name), [
      ...[nameOf(2), nameOf(1), nameOf(0)],
    ]);
    store.remove(nameOf(2));
    assert.throws(() => store.chain(nameOf(2)), /does not exist/);
    store.insert({
      ...{ name: nameOf(2), parent: nameOf(0), kind: "committed", labels: {} },
    });
    const chain = store.chain(nameOf(2));
    assert.deepEqual(chain.map(({ name }) => name), [nameOf(2), nameOf(0)]);
    assert.equal(chain[0]!.layer, null);
    store.updateLabels(nameOf(0), () => ({ new: "yes" }));
    assert.deepEqual(chain[1]!.labels, { new: "yes" });
  }));

Deno.test("who removes a snapshot of a deep image asks about its own layer, not about those that its parent keeps", () =>
  withFolder((folder) => {
    using store = deepStore(`${folder}/metadata.db`);
    const top = nameOf(DEPTH - 1);
    assert.equal(store.uses(top).length, DEPTH);
    assert.deepEqual(store.ownUses(top).map(({ slot }) => slot), [DEPTH]);
    store.remove(top);
    assert.ok(!store.usesLayer({ slot: DEPTH, claimant: "claimant" }));
    assert.ok(store.usesLayer({ slot: DEPTH - 1, claimant: "claimant" }));
  }));

Deno.test("what a snapshot keeps is the same, read or remembered", () =>
  withFolder((folder) => {
    using store = deepStore(`${folder}/metadata.db`, 5);
    const remembered = store.uses(nameOf(4));
    store.uses(nameOf(0));
    assert.deepEqual(store.uses(nameOf(4)), remembered);
    assert.deepEqual(remembered.map(({ position }) => position), [
      ...[0, 1, 2, 3, 4],
    ]);
    // One that fails leaves nothing behind.
    const layer = {
      ...{ ...layerAt(9), chainId: nameOf(9), image: IMAGE },
      below: [layerAt(7)],
    };
    assert.throws(() =>
      store.insert(
        { name: "failed", parent: "", kind: "committed", labels: {}, layer },
        () => {
          throw new Error("no folder");
        },
      ), /no folder/);
    const { name } = store.insert({
      ...{ name: "plain", parent: "", kind: "committed", labels: {} },
    });
    assert.deepEqual(store.uses(name), []);
  }));

Deno.test("images go with the last of their snapshots", () =>
  withFolder((folder) => {
    using store = deepStore(`${folder}/metadata.db`, 2);
    const named = {
      host: IMAGE.host,
      repository: IMAGE.repository,
      manifestDigest: IMAGE.manifestDigest,
    };
    store.remove(nameOf(1));
    assert.equal(store.imagesOf(named).length, 1);
    store.remove(nameOf(0));
    assert.equal(store.imagesOf(named).length, 0);
  }));

Deno.test("filters of which each names a target say so", () => {
  const label = `labels."${TARGET_LABEL}"`;
  assert.deepEqual(targetsOf([`${label}==a,parent=="b"`]), ["a"]);
  assert.deepEqual(
    targetsOf([`kind==committed,${label}=="a"`, `${label}==b`]),
    [
      ...["a", "b"],
    ],
  );
  for (
    const filters of [
      [],
      [""],
      [label],
      [`${label}!=a`],
      [`${label}~=a`],
      [`${label}==a`, "kind==committed"],
      ["labels.other==a"],
      ["name==a"],
    ]
  ) assert.equal(targetsOf(filters), null, filters.join());
});

Deno.test("a list for a target follows the labels, as a list of all does", () =>
  withSnapshotter(async (snapshotter) => {
    const label = `labels."${TARGET_LABEL}"`;
    const listed = () => {
      const names = (filter: string) =>
        snapshotter.list([filter]).map(({ name }) => name);
      const found = names(`${label}==a`);
      assert.deepEqual(names(`${label}~=/^a$/`), found);
      return found;
    };
    const labels = { [TARGET_LABEL]: "a" };
    const make = async (name: string, given: Record<string, string>) => {
      await snapshotter.prepare({ key: `of ${name}`, parent: "" });
      await snapshotter.commit({ name, key: `of ${name}`, labels: given });
    };
    await make("one", labels);
    assert.deepEqual(listed(), ["one"]); // the index is made here
    await make("two", labels);
    await make("three", {});
    assert.deepEqual(listed(), ["one", "two"]);
    snapshotter.update("one", { [TARGET_LABEL]: "b" }, []);
    snapshotter.update("three", labels, ["labels"]);
    assert.deepEqual(listed(), ["two", "three"]);
    snapshotter.remove("two");
    assert.deepEqual(listed(), ["three"]);
    snapshotter.update("three", {}, []);
    assert.deepEqual(listed(), []);
  }));

Deno.test("a list of all comes in parts, without what is removed meanwhile", () =>
  withSnapshotter(async (snapshotter) => {
    for (let i = 0; i < 250; i++) {
      await snapshotter.prepare({
        ...{ key: `key-${i}`, parent: "" },
        namespace: i % 2 === 0 ? "own" : "other",
      });
    }
    const names: string[] = [];
    const sizes: number[] = [];
    for (const part of snapshotter.listInParts([], "own")) {
      sizes.push(part.length);
      names.push(...part.map(({ name }) => name));
      if (sizes.length === 1) snapshotter.remove("key-249");
    }
    assert.deepEqual(sizes, [100, 100, 49]);
    assert.deepEqual(names.slice(0, 2), ["key-0", "key-2"]);
    assert.deepEqual(
      names,
      snapshotter.list([], "own").map(({ name }) => name),
    );
  }));
