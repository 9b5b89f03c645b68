/** A span map believes only what it wrote itself, about its own layer. */
import assert from "node:assert/strict";
import { SpanMap } from "../../../../lib/layers/spans/mod.ts";

const COUNT = 50;
const BOOT = "boot-1".padEnd(36, ".");
const THIS_BOOT = { bootId: BOOT, trusted: true, owner: "layer 1" };
const HERE = [3, 4, 20];

/** A map's file, as a killed process leaves it: with some spans marked. */
function written(): string {
  const path = Deno.makeTempFileSync({ prefix: "soci-deno-map-" });
  using map = SpanMap.open(path, new Uint8Array(COUNT), THIS_BOOT);
  for (const span of HERE) map.mark(span);
  return path;
}

function reopened(path: string, options = THIS_BOOT) {
  using map = SpanMap.open(path, new Uint8Array(COUNT), options);
  const here = [...map.presence.keys()].filter((span) => map.has(span));
  return { here, found: map.found };
}

Deno.test("what was marked is here after a restart, and the file is not written again for that", () => {
  const path = written();
  const before = Deno.readFileSync(path);
  assert.deepEqual(reopened(path), { here: HERE, found: "whole" });
  assert.deepEqual(Deno.readFileSync(path), before);
});

Deno.test("no changed byte of the file makes a span present that was not marked, and one is enough to believe none", () => {
  const path = written();
  const bytes = Deno.readFileSync(path);
  for (let at = 0; at < bytes.length; at++) {
    for (const flip of [1, 2, 3, 0x80, 0xff]) {
      const flipped = bytes.slice();
      flipped[at]! ^= flip;
      Deno.writeFileSync(path, flipped);
      const { here, found } = reopened(path);
      // The bytes between boot ID and checksum mean nothing, and are covered all the same.
      assert.deepEqual(here, [], `byte ${at} ^ ${flip}`);
      if (at < 4 || at > 7) assert.equal(found, "damaged");
    }
  }
});

Deno.test("marks that somebody makes without the file's salt are none", () => {
  const path = written();
  const bytes = Deno.readFileSync(path);
  for (const fill of [1, 2, 3, 0xff]) {
    Deno.writeFileSync(path, bytes.map((byte, at) => at < 64 ? byte : fill));
    assert.deepEqual(reopened(path), { here: [], found: "damaged" });
  }
});

Deno.test("a truncated, an emptied and a lost map say that nothing is here", () => {
  for (const size of [0, 1, 63, 64, 65, 64 + 4 * COUNT - 1]) {
    const path = written();
    Deno.truncateSync(path, size);
    const found = size === 0 ? "new" : "damaged";
    assert.deepEqual(reopened(path), { here: [], found }, `${size} bytes`);
  }
  const path = written();
  Deno.removeSync(path);
  assert.deepEqual(reopened(path), { here: [], found: "new" });
});

Deno.test("the map of another layer is not believed", () => {
  const path = written();
  const other = { ...THIS_BOOT, owner: "layer 2" };
  assert.deepEqual(reopened(path, other), { here: [], found: "damaged" });
});

Deno.test("marks of another run of the machine that were not synced are no damage, and not believed", () => {
  const path = written();
  const other = { ...THIS_BOOT, bootId: "boot-2" };
  assert.deepEqual(reopened(path, other), { here: [], found: "whole" });
});

Deno.test("the map of a release that wrote a byte a span is believed once more, and written anew", () => {
  const path = Deno.makeTempFileSync();
  const bytes = new Uint8Array(64 + COUNT);
  new Uint32Array(bytes.buffer, 0, 3).set([0x50414d53, 1, COUNT]);
  bytes.set(new TextEncoder().encode(BOOT), 16);
  for (const span of HERE) bytes[64 + span] = 2;
  Deno.writeFileSync(path, bytes);
  assert.deepEqual(reopened(path), { here: HERE, found: "whole" });
  assert.equal(Deno.statSync(path).size, 64 + 4 * COUNT);
});
