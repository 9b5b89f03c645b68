/** What a machine that lost power may leave of a layer's files, and that none of it is believed. */
import { mountHelperArguments } from "../../../../cmd/program.ts";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import {
  LayerStore,
  type OpenLayer,
} from "../../../../lib/layers/serving/mod.ts";
import type { SpanSource } from "../../../../lib/layers/spans/mod.ts";
import { removeIfThere, statIfThere } from "../../../../lib/host/files/mod.ts";
import { SlotTableStore } from "../../../../lib/layers/store/mod.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import { encodeZtoc, ZtocBuilder } from "../../../../lib/formats/ztoc/mod.ts";
import { tryRun } from "../../../support/host/mod.ts";
import {
  incompressible,
  layerBlob,
  TarBuilder,
} from "../../../support/images/mod.ts";

const CONTENT = incompressible(600_000, 3);
const BLOB = layerBlob(
  new TarBuilder().dir("a").file("a/file", CONTENT).symlink("link", "a/file"),
);
const ZTOC = ztocOf(BLOB.bytes);
const SUM = new Uint8Array(
  await crypto.subtle.digest("SHA-256", CONTENT as BufferSource),
).toHex();

function ztocOf(blob: Uint8Array): Uint8Array<ArrayBuffer> {
  const builder = new ZtocBuilder({ compression: "gzip", spanSize: 65_536 });
  builder.push(new Uint8Array(blob));
  return encodeZtoc(builder.finish().ztoc) as Uint8Array<ArrayBuffer>;
}

/** A source that counts what is fetched. */
class CountingSource implements SpanSource {
  readonly #blob: Uint8Array;
  readonly host = "";
  bytes = 0;
  constructor(path: string) {
    this.#blob = Deno.readFileSync(path);
  }
  fetch(start: number, end: number, into: Uint8Array<ArrayBuffer>) {
    this.bytes += end - start;
    into.set(this.#blob.subarray(start, end));
    return Promise.resolve();
  }
}

/** A layer that was served once: what of it is on disk, and how it comes back. */
class Leftover implements AsyncDisposable {
  readonly root = Deno.makeTempDirSync({ prefix: "soci-deno-torn-" });
  readonly #blob = `${this.root}/blob`;

  private constructor() {
    Deno.writeFileSync(this.#blob, BLOB.bytes);
  }

  /** @param fetched how much of the layer is cached, and whether it is synced. */
  static async of(fetched: "all, synced" | "all, not synced") {
    const leftover = new Leftover();
    {
      await using store = await leftover.#open();
      const layer = await store.add(
        BLOB.digest,
        ZTOC,
        leftover.#source(),
        BLOB.diffId,
      );
      if (fetched === "all, synced") await layer.fill();
      assert.equal(await leftover.sum(layer), SUM);
      if (fetched === "all, not synced") {
        // As if the machine had stopped here: closing would sync.
        await run("cp", "-a", leftover.folder, `${leftover.root}/as-it-was`);
      }
    }
    if (fetched === "all, not synced") {
      await run("rm", "-r", leftover.folder);
      await run("mv", `${leftover.root}/as-it-was`, leftover.folder);
    }
    return leftover;
  }

  get folder(): string {
    return `${this.root}/layers/1`;
  }

  #open() {
    return LayerStore.open({
      root: this.root,
      mountDirectory: `${this.root}/fs`,
      mountHelper: mountHelperArguments(),
    });
  }

  #source = () => new CountingSource(this.#blob);

  async sum({ directory, shown }: OpenLayer): Promise<string> {
    await shown;
    const { stdout, stderr } = await tryRun("sha256sum", [
      `${directory}/a/file`,
    ], { timeoutMs: 20_000 });
    return stdout.split(" ")[0] || stderr;
  }

  /** Changes a file's bytes. */
  change(
    name: string,
    how: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array,
  ): this {
    const path = `${this.folder}/${name}`;
    Deno.writeFileSync(path, how(Deno.readFileSync(path)));
    return this;
  }

  /** Has the marks of the cache come from another run of the machine. */
  reboot(): this {
    return this.change("spans", (bytes) => {
      bytes.set(new TextEncoder().encode("another-boot"), 16);
      const owner = new TextEncoder().encode(`${BLOB.digest} ${sha256(ZTOC)}`);
      const sum = crc32(owner, crc32(bytes.subarray(0, 60))) >>> 0;
      new DataView(bytes.buffer).setUint32(60, sum, true);
      return bytes;
    });
  }

  /** Serves the layer from what is there. */
  async restored(): Promise<{ sum: string | null; fetchedBytes: number }> {
    await using store = await this.#open();
    let source: CountingSource | undefined;
    const layer = await store.restore(
      BLOB.digest,
      () => source = this.#source(),
    );
    if (layer === null) return { sum: null, fetchedBytes: 0 };
    const sum = await this.sum(layer);
    return { sum, fetchedBytes: source?.bytes ?? 0 };
  }

  /** Why the ztoc is not to be used any more, once the layer was served for so long that it was checked. */
  async condemnedAfterCheck(): Promise<string | null> {
    await using store = await this.#open();
    const layer = await store.restore(BLOB.digest, this.#source);
    assert.ok(layer !== null);
    for (let tries = 0; tries < 60; tries++) {
      if (statIfThere(`${this.folder}/checked`) !== null) break;
      if (layer.state === "condemned") break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    using slots = new SlotTableStore(`${this.root}/slots.db`, {
      access: "read",
    });
    return slots.condemned(slots.all()[0]!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

async function run(program: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await tryRun(program, args);
  assert.equal(code, 0, stderr);
}

const garble = (bytes: Uint8Array<ArrayBuffer>) => {
  for (let i = 100; i < bytes.length; i += 97) bytes[i]! ^= 0x5a;
  return bytes;
};
const half = (bytes: Uint8Array<ArrayBuffer>) =>
  bytes.subarray(0, bytes.length >> 1);
const zeros = (bytes: Uint8Array<ArrayBuffer>) => bytes.fill(0);

Deno.test("a synced cache is used again after the machine stopped, without a fetch", async () => {
  await using leftover = await Leftover.of("all, synced");
  assert.deepEqual(await leftover.reboot().restored(), {
    sum: SUM,
    fetchedBytes: 0,
  });
});

Deno.test("a cache that was not synced is used again after a crash of the daemon, not after one of the machine", async () => {
  {
    await using leftover = await Leftover.of("all, not synced");
    assert.deepEqual(await leftover.restored(), {
      sum: SUM,
      fetchedBytes: 0,
    });
  }
  await using leftover = await Leftover.of("all, not synced");
  const after = await leftover.reboot().change("data", garble).restored();
  assert.equal(after.sum, SUM);
  assert.ok(after.fetchedBytes >= CONTENT.length, "all is fetched again");
});

for (
  const [what, name, how] of [
    ["a truncated list of spans", "spans", half],
    ["an emptied list of spans", "spans", zeros],
    [
      "a list of spans with a changed mark",
      "spans",
      (bytes: Uint8Array) => bytes.with(70, bytes[70]! ^ 4),
    ],
    [
      "a list of spans full of ones",
      "spans",
      (bytes: Uint8Array) => bytes.map((byte, at) => at < 64 ? byte : 1),
    ],
    ["truncated data", "data", half],
    ["a truncated tree", "tree", half],
    ["a garbled tree", "tree", garble],
    ["a tree of zeros", "tree", zeros],
  ] as const
) {
  Deno.test(`${what} is made good: right bytes, nothing unproved is used`, async () => {
    await using leftover = await Leftover.of("all, synced");
    const { sum, fetchedBytes } = await leftover.change(name, how).restored();
    assert.equal(sum, SUM);
    if (name !== "tree") assert.ok(fetchedBytes >= CONTENT.length);
  });
}

Deno.test("the other files beside them, however torn, make no wrong byte", async () => {
  for (const how of [half, garble, zeros]) {
    await using leftover = await Leftover.of("all, synced");
    for (const { name } of [...Deno.readDirSync(leftover.folder)]) {
      if (["data", "spans", "tree", "ztoc"].includes(name)) continue;
      leftover.change(name, how);
    }
    assert.equal((await leftover.restored()).sum, SUM);
  }
});

for (
  const [what, how] of [
    ["truncated", half],
    ["garbled", garble],
    ["blank", zeros],
  ] as const
) {
  Deno.test(`a ${what} ztoc is not used: the layer is not on this disk any more`, async () => {
    await using leftover = await Leftover.of("all, synced");
    assert.equal((await leftover.change("ztoc", how).restored()).sum, null);
  });

  Deno.test(`a ${what} log of the slot database costs at most what was written last, never a wrong layer`, async () => {
    await using leftover = await Leftover.of("all, synced");
    // A database whose last transactions are in the log alone, as a crash leaves it.
    const path = `${leftover.root}/slots.db`;
    const database = new DatabaseSync(path);
    database.exec(
      "PRAGMA journal_mode = WAL; INSERT INTO slots (layer_digest, ztoc_digest, diff_id, domain, pack_digest) VALUES ('x', 'y', '', '', '')",
    );
    const log = Deno.readFileSync(`${path}-wal`);
    database.close();
    Deno.writeFileSync(`${path}-wal`, how(log));
    const { sum } = await leftover.restored();
    assert.equal(sum, SUM);
  });
}

for (
  const [what, change] of [
    ["flipped", (line: string) => line.replace(/[0-9a-f]/, "0")],
    ["another digest", () => `sha256:${"1".repeat(64)}`],
    ["truncated", (line: string) => line.slice(0, 40)],
  ] as const
) {
  Deno.test(`a diff ID on disk that is ${what} condemns no ztoc`, async () => {
    await using leftover = await Leftover.of("all, synced");
    removeIfThere(`${leftover.folder}/checked`);
    const path = `${leftover.folder}/diff-id`;
    const line = Deno.readTextFileSync(path);
    Deno.writeTextFileSync(path, change(line.replace("sha256:", "sha256:f")));
    assert.equal(await leftover.condemnedAfterCheck(), null);
  });
}
