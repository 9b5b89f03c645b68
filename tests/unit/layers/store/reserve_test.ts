/** Disk that is set aside for state. */
import assert from "node:assert/strict";
import { DiskReserve } from "../../../../lib/layers/store/mod.ts";
import { tryRun } from "../../../support/host/mod.ts";

const WHOLE = 4 * 2 ** 20;

Deno.test("a reserve is there after a start with room, given up once, and caches wait until it is whole again", () => {
  const root = Deno.makeTempDirSync({ prefix: "soci-deno-reserve-" });
  const reserve = new DiskReserve(root);
  assert.ok(!reserve.giveUp());
  assert.ok(reserve.cachesMayGrow, "a small disk is used without one");
  assert.ok(reserve.restore());
  assert.equal(Deno.statSync(`${root}/reserve`).size, WHOLE);
  assert.ok(reserve.giveUp());
  assert.ok(!reserve.giveUp());
  assert.ok(!reserve.cachesMayGrow);
  const other = new DiskReserve(root); // looks again at once
  assert.ok(other.cachesMayGrow, "there is room, so it is made again first");
  assert.equal(reserve.bytes, WHOLE);
  Deno.removeSync(root, { recursive: true });
});

Deno.test("on a full disk what was not needed of a reserve is taken back at once, and nothing more is given to caches", async () => {
  const root = Deno.makeTempDirSync({ prefix: "soci-deno-reserve-" });
  const mounted = await tryRun("mount", [
    ...["-t", "tmpfs", "-o", "size=32m", "tmpfs", root],
  ]);
  assert.equal(mounted.code, 0, mounted.stderr);
  try {
    const reserve = new DiskReserve(root);
    assert.ok(reserve.restore());
    const fill = (name: string) => {
      using file = Deno.createSync(`${root}/${name}`);
      const part = new Uint8Array(4096);
      assert.throws(() => {
        for (;;) file.writeSync(part);
      });
    };
    fill("others");
    assert.ok(reserve.hasRoom);
    reserve.prepare(WHOLE);
    assert.equal(reserve.bytes, WHOLE, "state would find nothing");
    let before = WHOLE;
    for (let needed = 1; needed < 20; needed++) {
      reserve.prepare();
      assert.equal(reserve.bytes, 0);
      Deno.writeFileSync(`${root}/state-${needed}`, new Uint8Array(100_000));
      reserve.takeBack();
      fill(`others-${needed}`);
      const spent = before - reserve.bytes;
      assert.ok(
        spent >= 100_000 && spent < 120_000,
        `${spent} bytes are spent`,
      );
      before = reserve.bytes;
      assert.ok(!new DiskReserve(root).cachesMayGrow);
      assert.ok(reserve.hasRoom);
    }
  } finally {
    await tryRun("umount", ["-l", root]);
    Deno.removeSync(root);
  }
});
