import fc from "fast-check";
import assert from "node:assert/strict";
import {
  SnapshotError,
  type SnapshotErrorKind,
  type SnapshotKind,
  Snapshotter,
} from "../../../../lib/images/snapshotter/mod.ts";
import { NO_LAYERS } from "../../../../lib/images/snapshotter/provider.ts";

/** The promises of the snapshot service in their shortest form: what each request must do. */
class Model {
  readonly snapshots = new Map<
    string,
    { parent: string; kind: SnapshotKind }
  >();

  create(
    kind: SnapshotKind,
    key: string,
    parent: string,
  ): SnapshotErrorKind | null {
    const below = this.snapshots.get(parent);
    if (parent !== "" && below === undefined) return "not-found";
    if (below !== undefined && below.kind !== "committed") {
      return "invalid-argument";
    }
    if (this.snapshots.has(key)) return "already-exists";
    this.snapshots.set(key, { parent, kind });
    return null;
  }

  commit(name: string, key: string): SnapshotErrorKind | null {
    const active = this.snapshots.get(key);
    if (active === undefined) return "not-found";
    if (this.snapshots.has(name)) return "already-exists";
    if (active.kind !== "active") return "failed-precondition";
    this.snapshots.delete(key);
    this.snapshots.set(name, { parent: active.parent, kind: "committed" });
    return null;
  }

  remove(key: string): SnapshotErrorKind | null {
    if (!this.snapshots.has(key)) return "not-found";
    for (const { parent } of this.snapshots.values()) {
      if (parent === key) return "failed-precondition";
    }
    this.snapshots.delete(key);
    return null;
  }
}

const key = fc.constantFrom("a", "b", "c", "d");
const step = fc.oneof(
  fc.record({
    do: fc.constantFrom("active" as const, "view" as const),
    key,
    other: fc.oneof(key, fc.constant("")),
  }),
  fc.record({
    do: fc.constantFrom("commit" as const, "remove" as const),
    key,
    other: key,
  }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function inModel(model: Model, { do: what, key, other }: Step) {
  if (what === "commit") return model.commit(other, key);
  if (what === "remove") return model.remove(key);
  return model.create(what, key, other);
}

async function inReality(
  snapshotter: Snapshotter,
  { do: what, key, other }: Step,
): Promise<SnapshotErrorKind | null> {
  try {
    if (what === "commit") await snapshotter.commit({ name: other, key });
    else if (what === "remove") snapshotter.remove(key);
    else if (what === "view") await snapshotter.view({ key, parent: other });
    else await snapshotter.prepare({ key, parent: other });
    return null;
  } catch (error) {
    if (error instanceof SnapshotError) return error.kind;
    throw error;
  }
}

Deno.test("any order of requests ends as the model says, on disk too", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 25 }),
      async (steps) => {
        const root = Deno.makeTempDirSync();
        const model = new Model();
        await using snapshotter = await Snapshotter.open({
          root,
          provider: NO_LAYERS,
        });
        for (const each of steps) {
          assert.equal(
            await inReality(snapshotter, each),
            inModel(model, each),
            JSON.stringify(each),
          );
        }
        assert.deepEqual(
          snapshotter.list().map(({ name, parent, kind }) =>
            `${name} on ${parent}: ${kind}`
          ).sort(),
          [...model.snapshots].map(([name, { parent, kind }]) =>
            `${name} on ${parent}: ${kind}`
          ).sort(),
        );
        await snapshotter.cleanup();
        assert.equal(
          [...Deno.readDirSync(`${root}/snapshotter/snapshots`)].length,
          model.snapshots.size,
        );
        Deno.removeSync(root, { recursive: true });
      },
    ),
    { numRuns: 30 },
  );
});
