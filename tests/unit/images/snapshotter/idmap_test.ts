/** How labels say which IDs a container has, and what of them is refused. */
import assert from "node:assert/strict";
import { idMapping } from "../../../../lib/images/snapshotter/idmap.ts";
import {
  GID_MAPPING_LABEL,
  TARGET_LABEL,
  UID_MAPPING_LABEL,
} from "../../../../lib/images/snapshotter/types.ts";
import { isKind } from "./support.ts";

const labels = (uids: string, gids = "0:200000:65536") => ({
  [UID_MAPPING_LABEL]: uids,
  [GID_MAPPING_LABEL]: gids,
});

const refused = (uids: string, says: RegExp) =>
  assert.throws(() => idMapping("run", labels(uids)), (error: Error) => {
    isKind("invalid-argument")(error);
    assert.match(error.message, says);
    assert.ok(error.message.length < 250, "one line that can be read");
    return true;
  });

Deno.test("a mapping is given to the kernel range by range, whatever their order", () => {
  const found = idMapping("run", labels("1000:5:1,0:100000:1000"));
  assert.equal(found?.maps.uids, "0 100000 1000\n1000 5 1\n");
  assert.equal(found.maps.gids, "0 200000 65536\n");
  assert.deepEqual(found.root, { uid: 100000, gid: 200000 });
  const same = idMapping("other", labels("0:100000:1000,1000:5:1"));
  assert.equal(found.name, same?.name);
  for (const other of ["0:100000:1001", "0:100001:1000,1000:5:1"]) {
    assert.notEqual(found.name, idMapping("run", labels(other))?.name);
  }
  assert.match(found.name, /^[0-9a-f]{16}$/);
});

Deno.test("without labels there is no mapping, with one of the two it is an error", () => {
  assert.equal(idMapping("run", {}), null);
  assert.equal(
    idMapping("run", { [UID_MAPPING_LABEL]: "", [GID_MAPPING_LABEL]: "" }),
    null,
  );
  for (const label of [UID_MAPPING_LABEL, GID_MAPPING_LABEL]) {
    assert.throws(
      () => idMapping("run", { [label]: "0:1:1" }),
      isKind("invalid-argument"),
    );
  }
});

Deno.test("a layer that is unpacked is not mapped, whatever its image's manifest says", () => {
  const found = { ...labels("0:0:1"), [TARGET_LABEL]: "sha256:chain" };
  assert.equal(idMapping("extract", found), null);
  assert.equal(idMapping("extract", { ...found, ...labels("junk") }), null);
});

Deno.test("mappings that are none are refused", () => {
  for (
    const text of ["0:1", "0:1:1:1", "a:b:c", "0:-1:1", " 0:1:1", "0:1:1,"]
  ) refused(text, /form/);
  refused("0:12345678901:1", /form/);
  refused("0:1:0", /empty/);
  refused("1:1:1", /root/);
});

Deno.test("ranges end below the ID that means none", () => {
  assert.notEqual(idMapping("run", labels("0:0:4294967295")), null);
  assert.notEqual(idMapping("run", labels("0:4294967294:1")), null);
  refused("0:4294967295:1", /last ID/);
  refused("0:1:4294967295", /last ID/);
  refused("0:5:1,4294967295:6:1", /last ID/);
});

Deno.test("ranges that overlap are refused, on both sides", () => {
  refused("0:100000:10,9:200000:1", /overlap/);
  refused("0:100000:10,10:100009:1", /overlap/);
  refused("0:100000:1,0:100000:1", /overlap/);
  assert.notEqual(
    idMapping("run", labels("0:100000:10,10:100010:1")),
    null,
  );
});

Deno.test("number and length of ranges are bounded", () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, at) => `${at}:${100000 + at}:1`).join();
  assert.notEqual(idMapping("run", labels(many(64))), null);
  refused(many(65), /65 ranges, 64/);
  refused("0:1:1,".repeat(100_000), /longer/);
  const large = Array.from(
    { length: 64 },
    (_, at) => `${at === 0 ? 0 : 4294967000 + at}:${4294967200 + at}:1`,
  ).join();
  const { maps } = idMapping("run", labels(large))!;
  assert.ok(maps.uids.length < 4096, "the kernel takes one page");
});
