import assert from "node:assert/strict";
import fc from "fast-check";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  decodePlan,
  encodePlan,
  type LoadOrder,
  OrderError,
  type OrderErrorCode,
  packFrame,
  PLAN_LIMITS,
  rangesOfFrame,
  unpackFrame,
} from "../../../../lib/formats/order/mod.ts";
import { anyOrder, byteAt, packed, sample } from "./fixture.ts";

function refuses(run: () => unknown, code: OrderErrorCode): void {
  assert.throws(run, (error) => {
    assert(error instanceof OrderError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

const layer = sha256(Uint8Array.of(1));
const SMALL = packed(
  [layer],
  [
    { layer: 0, offset: 1024, length: 100 },
    { layer: 0, offset: 0, length: 50 },
    { layer: 0, offset: 4096, length: 10 },
  ],
  [2],
);

/** The small order with something else in it. */
function changed(change: Partial<LoadOrder>): LoadOrder {
  return { ...SMALL.order, ...change };
}

Deno.test("a plan that was written is read as it was", () => {
  fc.assert(fc.property(anyOrder, (order) => {
    const bytes = encodePlan(order);
    assert.deepEqual(decodePlan(bytes), order);
  }));
});

Deno.test("a pack's frames give the bytes of their ranges", () => {
  fc.assert(
    fc.property(sample, ({ order, pack }) => {
      for (const frame of order.frames) {
        const end = frame.offset + frame.compressedLength;
        const content = unpackFrame(frame, pack.subarray(frame.offset, end));
        const ranges = rangesOfFrame(order, frame, content);
        assert.equal(ranges.length, frame.rangeCount);
        for (const { layer, offset, bytes } of ranges) {
          const number = order.layers.indexOf(layer);
          bytes.forEach((byte, i) =>
            assert.equal(byte, byteAt(number, offset + i))
          );
        }
      }
    }),
    { numRuns: 30 },
  );
});

Deno.test("a plan cut short is refused, wherever it is cut", () => {
  fc.assert(
    fc.property(anyOrder, (order) => {
      const bytes = encodePlan(order);
      for (let length = 0; length < bytes.length; length++) {
        assert.throws(() => decodePlan(bytes.subarray(0, length)), OrderError);
      }
      refuses(() => decodePlan(Uint8Array.of(...bytes, 0)), "value");
    }),
    { numRuns: 20 },
  );
});

Deno.test("a changed plan is refused, or is the one form of a consistent order", () => {
  fc.assert(
    fc.property(
      anyOrder,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (order, flips) => {
        const bytes = encodePlan(order);
        for (const [at, value] of flips) bytes[at % bytes.length] = value;
        let read: LoadOrder;
        try {
          read = decodePlan(bytes);
        } catch (error) {
          assert(error instanceof OrderError, String(error));
          return;
        }
        // Writing checks the rules again, and a plan has one form.
        assert.deepEqual(encodePlan(read), bytes);
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("bytes of any kind are refused or read, and nothing else", () => {
  const magic = encodePlan({ layers: [], ranges: [], packs: [], frames: [] })
    .subarray(0, 8);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => {
      try {
        decodePlan(Uint8Array.of(...magic, ...tail));
      } catch (error) {
        assert(error instanceof OrderError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("an order that breaks a rule can neither be written nor read", async (t) => {
  const [range] = SMALL.order.ranges;
  const [frame] = SMALL.order.frames;
  const cases: Record<string, [Partial<LoadOrder>, OrderErrorCode]> = {
    "a byte in two ranges": [
      { ranges: [...SMALL.order.ranges, { ...range!, offset: 1123 }] },
      "overlap",
    ],
    "a range of no layer": [
      { ranges: [...SMALL.order.ranges, { ...range!, layer: 1 }] },
      "bounds",
    ],
    "an empty range": [
      { ranges: [...SMALL.order.ranges, { ...range!, length: 0 }] },
      "value",
    ],
    "a range behind the largest layer's end": [
      { ranges: [...SMALL.order.ranges, { ...range!, offset: 2 ** 40 }] },
      "bounds",
    ],
    "a layer named twice": [{ layers: [layer, layer] }, "value"],
    "a pack named twice": [
      { packs: [...SMALL.order.packs, ...SMALL.order.packs] },
      "value",
    ],
    "a frame of no pack": [{ frames: [{ ...frame!, pack: 1 }] }, "bounds"],
    "a frame that ends behind its pack": [
      { frames: [{ ...frame!, offset: 1 }] },
      "bounds",
    ],
    "a frame of other ranges than the next ones": [
      { frames: [{ ...frame!, firstRange: 1 }] },
      "value",
    ],
    "a frame of no range": [
      { frames: [{ ...frame!, rangeCount: 0, length: 0 }] },
      "value",
    ],
    "a frame of more ranges than there are": [
      { frames: [{ ...frame!, rangeCount: 4 }] },
      "value",
    ],
    "a frame that is not as long as its ranges": [
      { frames: [{ ...frame!, length: 1 }] },
      "value",
    ],
    "a frame that grew by being packed": [
      {
        frames: [{ ...frame!, compressedLength: 2000 }],
        packs: [{ ...SMALL.order.packs[0]!, size: 5000 }],
      },
      "value",
    ],
  };
  for (const [name, [change, code]] of Object.entries(cases)) {
    await t.step(name, () => refuses(() => encodePlan(changed(change)), code));
  }
});

Deno.test("a plan over a limit is refused", () => {
  const bytes = encodePlan(SMALL.order);
  const limits: Record<string, number> = {
    planBytes: bytes.length - 1,
    layers: 0,
    packs: 0,
    frames: 0,
    ranges: 2,
    frameBytes: 149,
    totalBytes: 159,
  };
  for (const [name, limit] of Object.entries(limits)) {
    refuses(
      () => decodePlan(bytes, { ...PLAN_LIMITS, [name]: limit }),
      "too-large",
    );
  }
  decodePlan(bytes, { ...PLAN_LIMITS, frameBytes: 150, totalBytes: 160 });
});

Deno.test("counts that say more than the plan holds take no memory", () => {
  // 65 536 ranges are said, none is there.
  const head = encodePlan({
    layers: [layer],
    ranges: [],
    packs: [],
    frames: [],
  });
  const bytes = Uint8Array.of(...head.subarray(0, -2), 0x80, 0x80, 4);
  refuses(() => decodePlan(bytes), "bounds");
});

Deno.test("a frame that is not the plan's, or unpacks to something else, is refused", () => {
  const content = new Uint8Array(5000).fill(7);
  const { bytes, digest } = packFrame(content);
  assert(
    unpackFrame({ digest, length: 5000 }, bytes).every((byte) => byte === 7),
  );
  const flipped = bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1);
  refuses(() => unpackFrame({ digest, length: 5000 }, flipped), "digest");
  for (const length of [4999, 5001]) {
    refuses(() => unpackFrame({ digest, length }, bytes), "damaged");
  }
  for (let length = 0; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length);
    refuses(
      () => unpackFrame({ digest: sha256(cut), length: 5000 }, cut),
      "damaged",
    );
  }
});

Deno.test("a frame of anything with the right digest is refused or as long as the plan says", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      (content, flips) => {
        if (content.length === 0) return;
        const bytes = packFrame(content).bytes.slice();
        for (const [at, value] of flips) bytes[at % bytes.length] = value;
        const frame = { digest: sha256(bytes), length: content.length };
        try {
          assert.equal(unpackFrame(frame, bytes).length, content.length);
        } catch (error) {
          assert(error instanceof OrderError, String(error));
        }
      },
    ),
    { numRuns: 1000 },
  );
});
