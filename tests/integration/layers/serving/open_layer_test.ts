import assert from "node:assert/strict";
import fc from "fast-check";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  encodeZtoc,
  type Ztoc,
  ZtocBuilder,
} from "../../../../lib/formats/ztoc/mod.ts";
import type { OpenLayer } from "../../../../lib/layers/serving/mod.ts";
import { LyingZtocError } from "../../../../lib/layers/store/mod.ts";
import { TarBuilder } from "../../../support/images/mod.ts";
import { incompressible } from "../../../support/images/random.ts";
import { indexed, MemorySource } from "../../../unit/layers/spans/support.ts";
import { openStore, readWhole } from "../spans/support.ts";

const CONTENT = incompressible(300_000, 5);
const LAYER = indexed(new TarBuilder().file("file", CONTENT), 64 * 1024);

function reindexed(spanSize: number): Ztoc {
  const builder = new ZtocBuilder({ compression: "gzip", spanSize });
  builder.push(LAYER.blob);
  return builder.finish().ztoc;
}

/** The same layer by three ztocs; the last one lies about a mode. */
const ZTOCS = [
  LAYER.ztoc,
  reindexed(128 * 1024),
  {
    ...LAYER.ztoc,
    entries: LAYER.ztoc.entries.map((entry) => ({ ...entry, mode: 0o4755 })),
  },
].map((ztoc) => encodeZtoc(ztoc));
const LYING = 2;

interface Event {
  readonly kind: "add" | "release" | "discard" | "fill" | "read" | "wait";
  readonly which: number;
}
const events = fc.array(
  fc.record<Event>({
    kind: fc.constantFrom(
      ...["add", "add", "release", "discard", "fill", "read", "wait"] as const,
    ),
    which: fc.nat(ZTOCS.length - 1),
  }),
  { minLength: 5, maxLength: 30 },
);

/** Files below `folder` that this process has open, but for the data file a FUSE Worker read last. */
function openBelow(folder: string): string[] {
  const found: string[] = [];
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const path = Deno.readLinkSync(`/proc/self/fd/${name}`);
      if (path.startsWith(`${folder}/`) && !/\/data( |$)/.test(path)) {
        found.push(path.slice(folder.length));
      }
    } catch {
      // the descriptor of this very reading
    }
  }
  return found;
}

/** Waits until nothing there is open any more: folders are removed on another thread, which opens them. */
async function closedBelow(folder: string): Promise<void> {
  for (let i = 0; i < 400 && openBelow(folder).length > 0; i++) await pause(5);
  assert.deepEqual(openBelow(folder), []);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Lets events come as they may, and compares the store with what it should serve. */
async function live(order: readonly Event[]): Promise<void> {
  const fills: Promise<void>[] = [];
  let folder: string;
  {
    await using opened = await openStore({ face: "fuse" });
    const { store } = opened;
    folder = opened.folder;
    const served = new Map<number, { layer: OpenLayer; users: number }>();
    const gone: OpenLayer[] = [];
    let isLieKnown = false;
    for (const { kind, which } of order) {
      const known = served.get(which);
      switch (kind) {
        case "add": {
          const add = () =>
            store.add(
              LAYER.digest,
              ZTOCS[which]!,
              new MemorySource(LAYER.blob),
              null,
            );
          if (which === LYING && isLieKnown) {
            await assert.rejects(add, LyingZtocError);
            break;
          }
          const layer = await add();
          assert.equal(layer === known?.layer, known !== undefined);
          assert.deepEqual(layer.identity, {
            layerDigest: LAYER.digest,
            ztocDigest: sha256(ZTOCS[which]!),
          });
          served.set(which, { layer, users: (known?.users ?? 0) + 1 });
          break;
        }
        case "release":
        case "discard":
          if (known === undefined) break;
          store.release(known.layer.slot, { discard: kind === "discard" });
          if (--known.users > 0) break;
          served.delete(which);
          gone.push(known.layer);
          break;
        case "fill": {
          if (known === undefined) break;
          const fill = known.layer.fill();
          fill.catch(() => {}); // looked at below
          fills.push(fill);
          break;
        }
        case "read": {
          if (known === undefined) break;
          await known.layer.shown;
          const result = await readWhole(`${known.layer.directory}/file`);
          if (which === LYING) {
            assert.ok("error" in result);
            assert.equal(known.layer.state, "condemned");
            isLieKnown = true;
          } else {
            assert.ok("bytes" in result, JSON.stringify(result));
            assert.deepEqual(result.bytes, CONTENT);
          }
          break;
        }
        case "wait":
          await pause(5);
      }
      // A lie is found by whoever comes across it first: also by what fills the background.
      isLieKnown ||= served.get(LYING)?.layer.state === "condemned";
      assert.deepEqual(
        store.all().map(({ slot }) => slot).sort(),
        [...served.values()].map(({ layer }) => layer.slot).sort(),
      );
      for (const { layer } of served.values()) assert.ok(layer.isServed);
      for (const layer of gone) assert.ok(!layer.isServed);
    }
    for (const { layer, users } of served.values()) {
      for (let user = 0; user < users; user++) {
        store.release(layer.slot, { discard: true });
      }
      gone.push(layer);
    }
    for (let i = 0; gone.some(({ state }) => state !== "closed"); i++) {
      assert.ok(i < 400, "a layer that nobody uses is closed");
      await pause(5);
    }
    await Promise.allSettled(fills);
    await closedBelow(`${folder}/root/layers`);
  }
  assert.deepEqual(openBelow(folder), []);
}

Deno.test("in whatever order layers are opened, shared, read, filled, found to lie and released, each is served while it has users and leaves nothing open", async () => {
  await fc.assert(fc.asyncProperty(events, live), { numRuns: 12 });
});
