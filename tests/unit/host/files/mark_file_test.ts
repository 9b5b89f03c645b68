/** What says beside a database how far it was. */
import assert from "node:assert/strict";
import { readMark, writeMark } from "../../../../lib/host/files/mod.ts";

const MARK = { generation: "g", bootId: "b", highest: 7, changes: 12 };

Deno.test("a mark is written over in place, and believed only as it was written", () => {
  const path = `${Deno.makeTempDirSync({ prefix: "soci-deno-mark-" })}/mark`;
  assert.equal(readMark(path), null);
  writeMark(path, { ...MARK, generation: "another, longer one" });
  writeMark(path, MARK);
  assert.deepEqual(readMark(path), MARK);
  const { size } = Deno.statSync(path);
  const whole = Deno.readFileSync(path);
  const line = new TextDecoder().decode(whole).trimEnd();
  for (let at = 0; at < line.length; at++) {
    Deno.writeFileSync(path, whole.with(at, whole[at]! ^ 1));
    assert.equal(readMark(path), "damaged", `byte ${at}`);
  }
  for (const cut of [0, 1, 20, line.length - 1]) {
    Deno.writeFileSync(path, whole);
    Deno.truncateSync(path, cut);
    assert.equal(readMark(path), "damaged", `${cut} bytes`);
    writeMark(path, MARK);
    assert.equal(Deno.statSync(path).size, size);
    assert.deepEqual(readMark(path), MARK);
  }
});
