/** Layers are opened in Workers, which are few, come when they are needed and go when they are not. */
import assert from "node:assert/strict";
import {
  encodeZtoc,
  splitZtoc,
  ZtocError,
} from "../../../../lib/formats/ztoc/mod.ts";
import {
  CostlyZtocError,
  LayerOpener,
  type OpenerOptions,
  OpeningError,
} from "../../../../lib/layers/opening/mod.ts";
import { TreeCompileError } from "../../../../lib/layers/tree/mod.ts";
import type { NewFiles } from "../../../../lib/layers/store/mod.ts";
import { longZtoc, TarBuilder } from "../../../support/images/mod.ts";
import { indexed } from "../../../unit/layers/spans/support.ts";
import { pause } from "../../../support/host/mod.ts";

const BLOB = { bytes: new Uint8Array(1000) };
const SMALL = encodeZtoc(
  indexed(new TarBuilder().file("file", "text"), 64 * 1024).ztoc,
);

class Stage implements Disposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "soci-deno-opening-" });
  readonly opener: LayerOpener;
  #slots = 0;

  constructor(options: Partial<OpenerOptions> = {}) {
    this.opener = new LayerOpener({
      root: this.folder,
      maxBytes: 2 ** 30,
      ...options,
    });
  }

  async open(
    ztoc: Uint8Array,
    share = "host",
    kind: "bytes" | "head" = "bytes",
  ) {
    const slot = ++this.#slots;
    const path = `${this.folder}/${slot}`;
    const found: NewFiles[] = [];
    const made = await this.opener.open({
      slot,
      path,
      ztoc: { kind, bytes: new Uint8Array(ztoc) },
      headers: "checked",
      trees: "current",
      image: true,
    }, { share, costly: "refused", onFiles: (files) => found.push(files) });
    return { made, path, found };
  }

  [Symbol.dispose](): void {
    this.opener[Symbol.dispose]();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

Deno.test("a small layer is opened on the spot, a larger one in a Worker, and both are the same in all that is made", async () => {
  using stage = new Stage();
  const small = await stage.open(SMALL);
  assert.equal(stage.opener.workers, 0);
  const large = await stage.open(longZtoc(10_000, BLOB));
  assert.equal(stage.opener.workers, 1);
  for (const { made, path, found } of [small, large]) {
    assert.deepEqual(made.image, { kind: "on disk" });
    assert.ok(made.headers !== null);
    assert.equal(found.length, 1);
    assert.ok(found[0]!.isNew);
    assert.deepEqual(found[0]!.files.map(({ name }) => name), ["tree", "ztoc"]);
    assert.deepEqual(
      [...Deno.readDirSync(path)].map(({ name }) => name).sort(),
      ["erofs", "headers"],
    );
  }
  assert.equal(large.made.tree.inodes, 1 + 20 + 10_000);
  assert.equal(large.made.spans.count, 1);
});

Deno.test("layers of some thousand files are opened on the spot, until there are many: then Workers take them", async () => {
  using stage = new Stage();
  const ztoc = longZtoc(5000, BLOB);
  for (let layers = 0; layers < 10; layers++) {
    const { made, found } = await stage.open(ztoc, `host-${layers}`);
    assert.equal(made.tree.inodes, 1 + 10 + 5000);
    assert.ok(found[0]!.files.every(({ isSole }) => isSole));
  }
  assert.equal(stage.opener.workers, 0);
  const [last] = await Promise.all([1, 2, 3].map(() => stage.open(ztoc)));
  assert.equal(last!.made.tree.inodes, 1 + 10 + 5000);
  assert.ok(stage.opener.workers > 0);
});

Deno.test("a head makes no table of headers; the rest makes the one that the whole ztoc does", async () => {
  using stage = new Stage();
  for (const ztoc of [SMALL, longZtoc(5000, BLOB), longZtoc(10_000, BLOB)]) {
    const whole = await stage.open(ztoc);
    const { head } = splitZtoc(ztoc);
    const opened = await stage.open(head, "host", "head");
    assert.equal(opened.made.headers, null);
    assert.equal(opened.made.tree.checksum, whole.made.tree.checksum);
    const { rest, bytes } = await stage.opener.rest(
      {
        path: opened.path,
        bytes: new Uint8Array(ztoc),
        headers: "checked",
      },
      "host",
    );
    assert.deepEqual(rest.headers, whole.made.headers);
    assert.deepEqual(rest.windows, whole.made.spans.windows);
    assert.deepEqual(bytes, new Uint8Array(ztoc));
    assert.deepEqual(
      Deno.readFileSync(`${opened.path}/headers`),
      Deno.readFileSync(`${whole.path}/headers`),
    );
  }
});

Deno.test("while large layers are opened, this thread has its turns", async () => {
  using stage = new Stage();
  const ztoc = longZtoc(60_000, BLOB);
  let isOpening = true;
  const opening = Promise.all([stage.open(ztoc), stage.open(ztoc, "other")])
    .finally(() => isOpening = false);
  let turns = 0;
  for (; isOpening; turns++) await pause(2);
  await opening;
  // On this thread it would be two: before and after.
  assert.ok(turns > 20, `${turns} turns`);
});

Deno.test("a ztoc over the bound is refused before any work is done", async () => {
  using stage = new Stage({ maxBytes: 8 * 2 ** 20 });
  await assert.rejects(() => stage.open(longZtoc(20_000, BLOB)), (error) => {
    assert.ok(error instanceof CostlyZtocError);
    assert.match(error.message, /\[opening\] max_memory_bytes allows 8 MiB/);
    return true;
  });
  assert.throws(() => stage.opener.expect(9 * 2 ** 20, null), CostlyZtocError);
  assert.deepEqual([...Deno.readDirSync(stage.folder)], []);
  assert.equal(stage.opener.workers, 0);
  await stage.open(SMALL);
});

Deno.test("what is wrong with a ztoc is told as it would be here", async () => {
  using stage = new Stage();
  const torn = longZtoc(10_000, BLOB);
  torn.fill(0xff, torn.length - 400_000, torn.length - 200_000);
  await assert.rejects(
    () => stage.open(torn),
    (error) => error instanceof ZtocError || error instanceof TreeCompileError,
  );
  assert.equal(stage.opener.workers, 1, "the Worker lives on");
});

Deno.test("Workers without work are stopped, and come back", async () => {
  using stage = new Stage({ idleMs: 100 });
  const ztoc = longZtoc(10_000, BLOB);
  await stage.open(ztoc);
  assert.equal(stage.opener.workers, 1);
  for (let i = 0; i < 100 && stage.opener.workers > 0; i++) await pause(50);
  assert.equal(stage.opener.workers, 0);
  await stage.open(ztoc);
  assert.equal(stage.opener.workers, 1);
});

Deno.test("no more Workers run than there may be, and all layers are opened", async () => {
  using stage = new Stage({ size: 2 });
  const ztoc = longZtoc(10_000, BLOB);
  const opened = await Promise.all(
    Array.from({ length: 7 }, (_, i) => stage.open(ztoc, `host-${i % 3}`)),
  );
  assert.equal(stage.opener.workers, 2);
  const sums = new Set(opened.map(({ made }) => made.tree.checksum));
  assert.equal(sums.size, 1);
});

Deno.test("what is being opened when the opener ends fails, and nothing is opened afterwards", async () => {
  using stage = new Stage();
  const ztoc = longZtoc(20_000, BLOB);
  const all = [1, 2, 3, 4].map(() => stage.open(ztoc));
  const settled = Promise.allSettled(all);
  await pause(1);
  stage.opener[Symbol.dispose]();
  for (const one of await settled) {
    assert.equal(one.status, "rejected");
    assert.ok(one.reason instanceof OpeningError);
  }
  await assert.rejects(() => stage.open(ztoc), OpeningError);
  await assert.rejects(() => stage.open(SMALL), OpeningError);
});
