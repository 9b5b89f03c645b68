/** What a killed daemon left of layers: kept for a while, and never for ever. */
import assert from "node:assert/strict";
import {
  KEPT_UNUSED_MS,
  KeptBlobs,
} from "../../../../lib/layers/store/kept_blobs.ts";

const name = (digit: string) => digit.repeat(64);

/** A folder with what is left of some layers, touched so many seconds ago. */
function leftOf(blobs: Record<string, number>) {
  const folder = Deno.makeTempDirSync({ prefix: "soci-deno-kept-" });
  for (const [digit, seconds] of Object.entries(blobs)) {
    for (const end of ["", ".parts"]) {
      const path = `${folder}/blob-${name(digit)}${end}`;
      Deno.writeFileSync(path, new Uint8Array(1000));
      const time = new Date(Date.now() - seconds * 1000);
      Deno.utimeSync(path, time, time);
    }
  }
  Deno.writeTextFileSync(`${folder}/other`, "");
  return {
    folder,
    names: () =>
      [...Deno.readDirSync(folder)].map(({ name }) => name)
        .filter((name) => name.startsWith("blob-"))
        .map((name) => name.replace(/blob-(.).*?(\.parts)?$/, "$1$2")).sort(),
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

Deno.test("what is left of a layer goes when nobody has gone on from it for half an hour, whenever it was touched", () => {
  // One from before, one of an hour that has not come, as the clock was set.
  using left = leftOf({ a: 10, b: -3600 });
  using kept = new KeptBlobs(left.folder);
  kept.look(0);
  kept.look(KEPT_UNUSED_MS - 1);
  assert.deepEqual(left.names(), ["a", "a.parts", "b", "b.parts"]);
  // Touched by its former owner, which was not gone yet.
  Deno.writeFileSync(
    `${left.folder}/blob-${name("a")}`,
    new Uint8Array(2000),
  );
  kept.look(KEPT_UNUSED_MS);
  assert.deepEqual(left.names(), ["a", "a.parts"]);
  kept.look(2 * KEPT_UNUSED_MS - 1);
  assert.deepEqual(left.names(), ["a", "a.parts"]);
  kept.look(2 * KEPT_UNUSED_MS);
  assert.deepEqual(left.names(), []);
});

Deno.test("what somebody goes on from stays however long that takes, and one at a time has it", () => {
  using left = leftOf({ a: 10 });
  using kept = new KeptBlobs(left.folder);
  {
    using taken = kept.take(name("a"));
    assert.equal(taken?.path, `${left.folder}/blob-${name("a")}`);
    assert.equal(kept.take(name("a")), null);
    kept.look(0);
    kept.look(2 * KEPT_UNUSED_MS);
    assert.equal(kept.makeRoom(1, () => 0), 0);
    assert.deepEqual(left.names(), ["a", "a.parts"]);
  }
  kept.look(3 * KEPT_UNUSED_MS); // seen for the first time
  assert.deepEqual(left.names(), ["a", "a.parts"]);
  kept.look(4 * KEPT_UNUSED_MS);
  assert.deepEqual(left.names(), []);
});

Deno.test("what is left of layers gives its room to whoever needs it, the oldest first and no more than that", () => {
  using left = leftOf({ a: 10, b: 30, c: 20 });
  using kept = new KeptBlobs(left.folder);
  const room = () => 6000 - 1000 * left.names().length;
  assert.equal(kept.makeRoom(0, room), 0);
  assert.equal(left.names().length, 6);
  assert.equal(kept.makeRoom(3000, room), 4000);
  assert.deepEqual(left.names(), ["a", "a.parts"]);
});

Deno.test("what is left of layers stays where all of it would not be enough", () => {
  using left = leftOf({ a: 10, b: 30 });
  using kept = new KeptBlobs(left.folder);
  assert.equal(kept.makeRoom(2 ** 40, () => 1000), 1000);
  assert.equal(left.names().length, 4);
});

Deno.test("a process looks by itself, time and again, and does not once it has ended", async () => {
  using left = leftOf({ a: 10 });
  const kept = new KeptBlobs(left.folder, { unusedMs: 200, lookMs: 20 });
  const until = async (what: () => boolean) => {
    for (let tries = 0; !what(); tries++) {
      assert.ok(tries < 500, `${left.names()} stay`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  kept.start();
  assert.equal(left.names().length, 2, "nothing goes at the start");
  await until(() => left.names().length === 0);
  // What is in use stays, and goes later.
  const path = `${left.folder}/blob-${name("b")}`;
  {
    using _taken = kept.take(name("b"));
    Deno.writeTextFileSync(path, "b");
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert.deepEqual(left.names(), ["b"]);
  }
  await until(() => left.names().length === 0);
  kept[Symbol.dispose]();
  Deno.writeTextFileSync(path, "b");
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.deepEqual(left.names(), ["b"]);
});
