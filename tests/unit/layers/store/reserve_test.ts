/** Disk that is set aside for state. */
import assert from "node:assert/strict";
import { DiskReserve } from "../../../../lib/layers/store/mod.ts";

Deno.test("a reserve is there after a start with room, given up once, and caches wait until it is there again", () => {
  const root = Deno.makeTempDirSync({ prefix: "soci-deno-reserve-" });
  const reserve = new DiskReserve(root);
  assert.ok(!reserve.giveUp());
  assert.ok(reserve.cachesMayGrow, "a small disk is used without one");
  assert.ok(reserve.restore());
  assert.equal(Deno.statSync(`${root}/reserve`).size, 4 * 2 ** 20);
  const other = new DiskReserve(root);
  assert.ok(reserve.giveUp());
  assert.ok(!reserve.giveUp());
  assert.ok(other.cachesMayGrow, "there is room, so it is made again first");
  assert.ok(reserve.isWhole);
});
