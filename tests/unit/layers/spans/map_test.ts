/** A span map believes only what it wrote itself, about its own layer. */
import assert from "node:assert/strict";
import { PRESENT, UNCHECKED } from "../../../../lib/layers/presence/mod.ts";
import { SpanMap } from "../../../../lib/layers/spans/mod.ts";

const WITHOUT_SUMS =
  "U01BUAIAAAAyAAAA8CZoq2Jvb3QtMS4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLgAAAAAAAAAAIU4RygAAAAAAAAAAAAAAAKSMeD88wpHyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/UHI9AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const COUNT = 50;
const BOOT = "boot-1".padEnd(36, ".");
const THIS_BOOT = { bootId: BOOT, trusted: true, owner: "layer 1" };
const HERE = [3, 4, 20];
const sumOf = (span: number) => 0x9000_0000 + span;

/** A map's file, as a killed process leaves it: with some spans marked. */
function written(): string {
  const path = Deno.makeTempFileSync({ prefix: "soci-deno-map-" });
  using map = SpanMap.open(path, new Uint8Array(COUNT), THIS_BOOT);
  for (const span of HERE) map.mark(span, sumOf(span));
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
    for (const flip of [1, 2, 0xff]) {
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
  for (const size of [0, 1, 63, 64, 65, 64 + 8 * COUNT - 1]) {
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
  assert.equal(Deno.statSync(path).size, 64 + 8 * COUNT);
});

Deno.test("the map of a release without checksums is believed once more, and gets the checksum of what is compared", () => {
  // As that release left it: a salted word a span.
  const path = Deno.makeTempFileSync();
  Deno.writeFileSync(path, Uint8Array.fromBase64(WITHOUT_SUMS));
  const presence = new Uint8Array(COUNT);
  {
    using map = SpanMap.open(path, presence, THIS_BOOT);
    assert.equal(map.found, "whole");
    assert.deepEqual([...presence.keys()].filter((s) => map.has(s)), HERE);
    assert.ok(map.isAsWritten(3, sumOf(3)), "whatever it is");
    map.confirm(3, sumOf(3));
  }
  using again = SpanMap.open(path, presence, THIS_BOOT);
  assert.equal(again.found, "whole");
  assert.ok(again.isAsWritten(3, sumOf(3)));
  assert.ok(!again.isAsWritten(3, sumOf(4)));
});

Deno.test("what an earlier process marked is not copied before it was compared, and has the checksum it had", () => {
  const path = written();
  const presence = new Uint8Array(COUNT);
  using map = SpanMap.open(path, presence, THIS_BOOT);
  for (const span of HERE) {
    assert.equal(presence[span], UNCHECKED);
    map.watch(span);
    map.unwatch(span);
    assert.equal(presence[span], UNCHECKED);
    assert.ok(map.isAsWritten(span, sumOf(span)));
    assert.ok(!map.isAsWritten(span, sumOf(span) ^ 1));
    map.confirm(span, sumOf(span));
    assert.equal(presence[span], PRESENT);
  }
});
