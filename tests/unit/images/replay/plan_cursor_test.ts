import assert from "node:assert/strict";
import fc from "fast-check";
import { type Digest, sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  type LayerNow,
  type NextRange,
  PlanCursor,
} from "../../../../lib/images/replay/plan_cursor.ts";

const LAYERS = [0, 1, 2].map((n) => sha256(Uint8Array.of(n)));
type Named = { readonly name: Digest };
const open = (digest: Digest): Named => ({ name: digest });

function cursorOf(layers: readonly number[]): PlanCursor {
  return new PlanCursor(
    LAYERS,
    layers.map((layer, offset) => ({ layer, offset, length: 1 })),
  );
}

const offsetOf = (next: NextRange<Named>) =>
  typeof next === "string" ? next : next.offset;

Deno.test("a layer that is not open yet holds up no other one, and comes first once it is", () => {
  const cursor = cursorOf([0, 1, 0, 1, 2, 1]);
  let now: (digest: Digest) => LayerNow<Named> = (digest) =>
    digest === LAYERS[1] ? open(digest) : "awaited";
  const next = () => offsetOf(cursor.next((digest) => now(digest)));
  assert.deepEqual([next(), next()], [1, 3]);
  now = open;
  assert.deepEqual([next(), next(), next()], [0, 2, 4]);
  now = (digest) => digest === LAYERS[1] ? "awaited" : "gone";
  assert.deepEqual([next(), next()], ["later", "later"]);
  now = () => "gone";
  assert.equal(next(), "none");
  now = open;
  assert.equal(next(), "none", "what was passed over does not come back");
});

Deno.test("in whatever order layers open, each range comes once, and those of one layer in the plan's order", () => {
  const step = fc.record({
    opens: fc.nat({ max: 2 }),
    takes: fc.nat({ max: 4 }),
  });
  fc.assert(fc.property(
    fc.array(fc.nat({ max: 2 }), { maxLength: 30 }),
    fc.array(step, { maxLength: 10 }),
    (layers, steps) => {
      const cursor = cursorOf(layers);
      const isOpen = new Set<Digest>();
      const given: number[] = [];
      const take = (count: number) => {
        for (let i = 0; i < count; i++) {
          const next = cursor.next<Named>((digest) =>
            isOpen.has(digest) ? open(digest) : "awaited"
          );
          if (typeof next === "string") return;
          assert.equal(next.layer.name, LAYERS[layers[next.offset]!]);
          const left = layers.findIndex((layer, at) =>
            !given.includes(at) && isOpen.has(LAYERS[layer]!)
          );
          assert.equal(next.offset, left, "the first that can come");
          given.push(next.offset);
        }
      };
      for (const { opens, takes } of steps) {
        isOpen.add(LAYERS[opens]!);
        take(takes);
      }
      for (const digest of LAYERS) isOpen.add(digest);
      take(layers.length + 1);
      assert.deepEqual(given.toSorted((a, b) => a - b), [...layers.keys()]);
    },
  ));
});
