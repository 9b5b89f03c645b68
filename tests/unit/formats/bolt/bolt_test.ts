import assert from "node:assert/strict";
import {
  type BoltBucket,
  BoltError,
  boltRoot,
  isBolt,
} from "../../../../lib/formats/bolt/mod.ts";

const PAGE = 4096;

/** FNV-1a of 64 bits, as bbolt sums its meta pages. */
function sum(bytes: Uint8Array): bigint {
  return bytes.reduce(
    (hash, byte) => BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n),
    0xcbf29ce484222325n,
  );
}

function meta(id: number, root: bigint, txid: bigint): Uint8Array {
  const page = new Uint8Array(PAGE);
  const view = new DataView(page.buffer);
  view.setBigUint64(0, BigInt(id), true);
  view.setUint16(8, 4, true);
  view.setUint32(16, 0xed0cdaed, true);
  view.setUint32(20, 2, true);
  view.setUint32(24, PAGE, true);
  view.setBigUint64(32, root, true);
  view.setBigUint64(64, txid, true);
  view.setBigUint64(72, sum(page.subarray(16, 72)), true);
  return page;
}

type Entry = { key: string; value: Uint8Array; bucket?: boolean };

const bytesOf = (text: string) => new TextEncoder().encode(text);

function leaf(entries: readonly Entry[], size = PAGE): Uint8Array {
  const page = new Uint8Array(size);
  const view = new DataView(page.buffer);
  view.setUint16(8, 2, true);
  view.setUint16(10, entries.length, true);
  let end = 16 + 16 * entries.length;
  entries.forEach(({ key, value, bucket }, i) => {
    const at = 16 + 16 * i;
    view.setUint32(at, bucket ? 1 : 0, true);
    view.setUint32(at + 4, end - at, true);
    view.setUint32(at + 8, key.length, true);
    view.setUint32(at + 12, value.length, true);
    page.set(bytesOf(key), end);
    page.set(value, end + key.length);
    end += key.length + value.length;
  });
  return page;
}

function branch(below: readonly (readonly [string, bigint])[]): Uint8Array {
  const page = new Uint8Array(PAGE);
  const view = new DataView(page.buffer);
  view.setUint16(8, 1, true);
  view.setUint16(10, below.length, true);
  let end = 16 + 16 * below.length;
  below.forEach(([key, id], i) => {
    const at = 16 + 16 * i;
    view.setUint32(at, end - at, true);
    view.setUint32(at + 4, key.length, true);
    view.setBigUint64(at + 8, id, true);
    page.set(bytesOf(key), end);
    end += key.length;
  });
  return page;
}

const join = (...pages: Uint8Array[]) =>
  Uint8Array.from(pages.flatMap((page) => [...page]));

const inline = (entries: readonly Entry[]) =>
  join(new Uint8Array(16), leaf(entries, 128));

/** Pages: two metas, a freelist, a branch with two leaves. The second meta is the newer one. */
function database(): Uint8Array {
  return join(
    meta(0, 4n, 1n),
    meta(1, 3n, 2n),
    new Uint8Array(PAGE),
    branch([["a", 4n], ["b", 5n]]),
    leaf([{ key: "a", value: bytesOf("one") }]),
    leaf([{
      key: "b",
      value: inline([{ key: "inner", value: bytesOf("two") }]),
      bucket: true,
    }]),
  );
}

function textOf(bucket: BoltBucket, name: string): string {
  return new TextDecoder().decode(bucket.values().get(name));
}

Deno.test("values and buckets are found through branches and within entries, as the newer meta page has them", () => {
  const bytes = database();
  assert.ok(isBolt(bytes));
  const root = boltRoot(bytes);
  assert.equal(textOf(root, "a"), "one");
  assert.equal(textOf(root.bucket("b")!, "inner"), "two");
  assert.equal(root.bucket("a"), null);
});

Deno.test("where one meta page is damaged, the other one holds", () => {
  const bytes = database();
  bytes[PAGE + 40] = 0xff;
  assert.deepEqual([...boltRoot(bytes).values().keys()], ["a"]);
  const other = database();
  other[20] = 0xff;
  assert.ok(boltRoot(other).bucket("b") !== null);
});

Deno.test("whatever one byte of it is, reading ends, and with no other error than its own", () => {
  const good = database();
  const walk = (bucket: BoltBucket): number => {
    let count = 0;
    for (const entry of bucket.entries()) {
      count += "bucket" in entry ? walk(entry.bucket) : 1;
    }
    return count;
  };
  let refused = 0;
  for (let page = 0; page < good.length / PAGE; page++) {
    for (let at = page * PAGE; at < page * PAGE + 160; at++) {
      for (const value of [0, 1, 3, 0xff]) {
        const bytes = good.slice();
        bytes[at] = value;
        try {
          walk(boltRoot(bytes));
        } catch (error) {
          assert.ok(error instanceof BoltError, String(error));
          refused++;
        }
      }
    }
  }
  assert.ok(refused > 20, "what is wrong is seen");
});

Deno.test("a tree that leads into itself is refused", () => {
  const bytes = join(
    ...[meta(0, 3n, 1n), meta(1, 3n, 2n), new Uint8Array(PAGE)],
    branch([["a", 3n], ["b", 3n]]),
  );
  assert.throws(() => [...boltRoot(bytes).entries()], BoltError);
});
