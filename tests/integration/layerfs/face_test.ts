/** Layers shown by a real kernel, on both faces, with data that comes, waits, or does not come. */
import assert from "node:assert/strict";
import {
  type Face,
  LayerFileSystem,
  LayerTree,
  PRESENT,
} from "../../../lib/layerfs/mod.ts";
import {
  closeFd,
  listMounts,
  O,
  openFd,
  preadFully,
  pwriteFully,
  truncateFd,
} from "../../../lib/os/mod.ts";
import { erofsRefusal, onEveryFace } from "../../support/erofs/mod.ts";
import { busyboxBytes, incompressible } from "../../support/images/mod.ts";
import { readInSteps } from "../../support/compare/mod.ts";
import { pause, run, tryRun } from "../../support/host/mod.ts";
import { entry, type EntryFacts } from "../../unit/layerfs/support.ts";
import { compileTree } from "../../../lib/layerfs/mod.ts";

const SLOT = 7;
const SPAN_BYTES = 256 * 1024;
/** Read-ahead of the EROFS mounts. */
const MAX_FOLIO_BYTES = 1024 * 1024;

/** A layer whose bytes are put into place span by span, as a test wants. */
class Layer implements AsyncDisposable {
  /** Spans that cannot be had now. */
  readonly broken = new Set<number>();
  /** While set, spans wait for it. */
  gate: Promise<void> | null = null;
  asked = 0;
  presence: Uint8Array = new Uint8Array(0);
  directory = "";
  readonly fallbacks: string[] = [];

  private constructor(
    readonly folder: string,
    readonly data: Uint8Array<ArrayBuffer>,
    readonly system: LayerFileSystem,
    readonly dataFd: number,
  ) {}

  static async serve(
    face: Face,
    entries: readonly EntryFacts[],
    data: Uint8Array<ArrayBuffer>,
  ): Promise<Layer> {
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-face-" });
    await Deno.mkdir(`${folder}/layers/${SLOT}`, { recursive: true });
    const spans = Math.ceil(data.length / SPAN_BYTES);
    const bytes = compileTree({
      entries: entries.map(entry),
      spanStarts: Array.from({ length: spans }, (_, i) => i * SPAN_BYTES),
      dataSize: data.length,
    });
    await Deno.writeFile(`${folder}/layers/${SLOT}/tree`, bytes);
    const dataFd = openFd(`${folder}/layers/${SLOT}/data`, O.RDWR | O.CREAT);
    truncateFd(dataFd, data.length);
    const fallbacks: string[] = [];
    const system = await LayerFileSystem.start({
      layersDirectory: `${folder}/layers`,
      mountDirectory: `${folder}/fs`,
      face,
      onFallback: (_, reason) => fallbacks.push(reason),
    });
    const layer = new Layer(folder, data, system, dataFd);
    const tree = new LayerTree(bytes);
    const { directory, shown, presence } = system.add({
      slot: SLOT,
      spanCount: spans,
      hasXattrs: tree.hasXattrs,
      copy: (offset, into) => preadFully(dataFd, into, offset) === into.length,
      ensure: (offset, length, signal) => layer.#ensure(offset, length, signal),
    }, tree);
    await shown;
    layer.presence = presence;
    layer.directory = directory;
    layer.fallbacks.push(...fallbacks);
    return layer;
  }

  async #ensure(
    offset: number,
    length: number,
    signal: AbortSignal,
  ): Promise<void> {
    this.asked++;
    if (this.gate !== null) {
      await Promise.race([
        this.gate,
        new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason))
        ),
      ]);
    }
    const last = Math.floor((offset + length - 1) / SPAN_BYTES);
    for (let span = Math.floor(offset / SPAN_BYTES); span <= last; span++) {
      if (this.broken.has(span)) throw new Error(`span ${span} is broken`);
      const at = span * SPAN_BYTES;
      pwriteFully(this.dataFd, this.data.slice(at, at + SPAN_BYTES), at);
      Atomics.store(this.presence, span, PRESENT);
    }
  }

  /** Forgets all pages and entries the kernel has cached. */
  async dropCaches(): Promise<void> {
    await run("sh", ["-c", "sync; echo 3 > /proc/sys/vm/drop_caches"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.system[Symbol.asyncDispose]();
    closeFd(this.dataFd);
    await Deno.remove(this.folder, { recursive: true });
    assert.deepEqual(
      listMounts().filter(({ mountpoint }) =>
        mountpoint.startsWith(this.folder)
      ),
      [],
    );
  }
}

/** As `assert.deepEqual`, which would take minutes to print a megabyte. */
function assertSameBytes(found: Uint8Array, wanted: Uint8Array): void {
  const at = found.findIndex((byte, i) => byte !== wanted[i]);
  assert.equal(at, -1, `byte ${at} is ${found[at]} and not ${wanted[at]}`);
  assert.equal(found.length, wanted.length);
}

/** A layer with one file of `size` bytes behind one block, none of them zero. */
function oneFile(size: number) {
  const data = new Uint8Array(Math.ceil((512 + size) / 512) * 512);
  data.set(incompressible(size), 512);
  for (let i = 0; i < data.length; i++) data[i] ||= 1;
  return { entries: [{ name: "file", offset: 512, size }], data };
}

onEveryFace(
  "bytes come as they are asked for, and are the layer's",
  async (face) => {
    const size = 5 * SPAN_BYTES + 777;
    const { entries, data } = oneFile(size);
    await using layer = await Layer.serve(face, entries, data);
    assert.match(layer.directory, face === "erofs" ? /\/e\/7$/ : /\/n\/7$/);
    const { errors, bytes } = await readInSteps(
      `${layer.directory}/file`,
      100_000,
    );
    assert.equal(errors, 0);
    assertSameBytes(bytes, data.subarray(512, 512 + size));
    assert.ok(layer.asked > 0);
  },
);

onEveryFace(
  "bytes that cannot be had are errors and never zeros, and heal",
  async (face) => {
    const size = 6 * SPAN_BYTES;
    const { entries, data } = oneFile(size);
    await using layer = await Layer.serve(face, entries, data);
    const wanted = data.subarray(512, 512 + size);
    layer.broken.add(2).add(4);
    for (const step of [2 ** 20, 4096]) {
      const { errors, bytes } = await readInSteps(
        `${layer.directory}/file`,
        step,
      );
      assert.ok(errors > 0);
      for (let at = 0; at < size; at++) {
        assert.ok(bytes[at] === wanted[at] || bytes[at] === 0xee, `byte ${at}`);
      }
    }
    layer.broken.clear();
    const healed = await readInSteps(`${layer.directory}/file`, 65536);
    assert.equal(healed.errors, 0);
    assertSameBytes(healed.bytes, wanted);
  },
);

onEveryFace("a file of which nothing could be had heals", async (face) => {
  const size = 3 * SPAN_BYTES;
  const { entries, data } = oneFile(size);
  await using layer = await Layer.serve(face, entries, data);
  layer.broken.add(0).add(1).add(2).add(3);
  assert.equal(
    (await readInSteps(`${layer.directory}/file`, 2 ** 20)).errors,
    1,
  );
  assert.ok((await readInSteps(`${layer.directory}/file`, 256)).errors > 3000);
  layer.broken.clear();
  const healed = await readInSteps(`${layer.directory}/file`, 256);
  assert.equal(healed.errors, 0);
  assertSameBytes(healed.bytes, data.subarray(512, 512 + size));
});

onEveryFace(
  "a program that could not be read runs once it can be",
  async (face) => {
    const program = busyboxBytes();
    const data = new Uint8Array(512 + Math.ceil(program.length / 512) * 512);
    data.set(program, 512);
    await using layer = await Layer.serve(face, [
      { name: "busybox", offset: 512, size: program.length, mode: 0o755 },
    ], data);
    for (let span = 0; span * SPAN_BYTES < data.length; span++) {
      layer.broken.add(span);
    }
    const path = `${layer.directory}/busybox`;
    const refused = await tryRun(path, ["echo", "runs"]);
    assert.notEqual(refused.code, 0);
    layer.broken.clear();
    const { stdout, stderr } = await tryRun(path, ["echo", "runs"]);
    assert.equal(stdout, "runs\n", stderr);
  },
);

onEveryFace("what can be had is read beside what cannot", async (face) => {
  const size = 8 * SPAN_BYTES;
  const { entries, data } = oneFile(size);
  await using layer = await Layer.serve(face, entries, data);
  layer.broken.add(7);
  const { bytes } = await readInSteps(`${layer.directory}/file`, 4096);
  // The kernel reads in folios, which read-ahead makes large: one that holds a byte that cannot be
  // had cannot be had as a whole.
  const good = 7 * SPAN_BYTES - 512 - MAX_FOLIO_BYTES;
  assertSameBytes(bytes.subarray(0, good), data.subarray(512, 512 + good));
});

onEveryFace(
  "a reader that is killed while it waits leaves no zeros behind",
  async (face) => {
    const size = 4 * SPAN_BYTES;
    const { entries, data } = oneFile(size);
    await using layer = await Layer.serve(face, entries, data);
    const wanted = data.subarray(512, 512 + size);
    const first = await readInSteps(`${layer.directory}/file`, size);
    assert.equal(first.errors, 0);
    for (let round = 0; round < 5; round++) {
      // The first half is here, the second one waits while its readers are killed.
      layer.presence.fill(0, 2);
      await layer.dropCaches();
      const gate = Promise.withResolvers<void>();
      layer.gate = gate.promise;
      const killed = await tryRun("timeout", [
        ...["-s", "KILL", "0.3", "dd", `if=${layer.directory}/file`],
        ...["of=/dev/null", "bs=1M", "status=none"],
      ], { timeoutMs: 10_000 });
      assert.notEqual(killed.code, 0);
      layer.gate = null;
      gate.resolve();
      const { errors, bytes } = await readInSteps(
        `${layer.directory}/file`,
        4096,
      );
      assert.equal(errors, 0);
      assertSameBytes(bytes, wanted);
    }
  },
);

const SIGNALLED = `
import os, signal, sys
ticks = 0
def tick(*_):
    global ticks
    ticks += 1
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
fd = os.open(sys.argv[1], os.O_RDONLY)
part = os.pread(fd, 4096, 0)
signal.setitimer(signal.ITIMER_REAL, 0)
print(len(part), ticks > 0)
`;

onEveryFace(
  "signals that do not kill a waiting reader do not disturb it",
  async (face) => {
    const { entries, data } = oneFile(SPAN_BYTES);
    await using layer = await Layer.serve(face, entries, data);
    // After a failure the kernel waits for the one page itself, and then it tells of signals.
    layer.broken.add(0).add(1);
    assert.ok((await readInSteps(`${layer.directory}/file`, 4096)).errors > 0);
    layer.broken.clear();
    const gate = Promise.withResolvers<void>();
    layer.gate = gate.promise;
    const reader = run("/usr/bin/python3", [
      ...["-c", SIGNALLED, `${layer.directory}/file`],
    ], { timeoutMs: 10_000 });
    await pause(700);
    gate.resolve();
    assert.equal((await reader).stdout, "4096 True\n");
  },
);

onEveryFace(
  "a signal that kills a waiting reader ends it, while its bytes do not come",
  async (face) => {
    const { entries, data } = oneFile(SPAN_BYTES);
    await using layer = await Layer.serve(face, entries, data);
    layer.broken.add(0).add(1);
    assert.ok((await readInSteps(`${layer.directory}/file`, 4096)).errors > 0);
    layer.broken.clear();
    layer.gate = new Promise(() => {});
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      const reader = new Deno.Command("/usr/bin/python3", {
        // First signals that it lives on from, then the one it does not.
        args: ["-c", SIGNALLED, `${layer.directory}/file`],
      }).spawn();
      await pause(500);
      const started = performance.now();
      reader.kill(signal);
      assert.equal((await reader.status).signal, signal);
      assert.ok(performance.now() - started < 5000);
    }
  },
);

onEveryFace(
  "a layer whose tar ends within a block is read to its last byte",
  async (face) => {
    const { entries, data } = oneFile(100_001);
    const cut = data.slice(0, 512 + 100_001);
    await using layer = await Layer.serve(face, entries, cut);
    const { errors, bytes } = await readInSteps(
      `${layer.directory}/file`,
      4096,
    );
    assert.equal(errors, 0);
    assertSameBytes(bytes, cut.subarray(512));
  },
);

onEveryFace(
  "a removed layer is gone, and its readers get errors",
  async (face) => {
    const { entries, data } = oneFile(2 * SPAN_BYTES);
    await using layer = await Layer.serve(face, entries, data);
    using file = await Deno.open(`${layer.directory}/file`);
    layer.system.remove(SLOT);
    await layer.dropCaches();
    await assert.rejects(file.read(new Uint8Array(4096)));
    for (let tries = 0; tries < 50; tries++) {
      if (!listMounts().some(({ mountpoint }) => mountpoint.endsWith("/e/7"))) {
        break;
      }
      await pause(20);
    }
    // The FUSE tree's names stay in the kernel's cache, until they are asked for a byte.
    if (face === "erofs") {
      await assert.rejects(Deno.stat(`${layer.directory}/file`));
    }
  },
);

onEveryFace(
  "a layer that is removed and shown again is the same",
  async (face) => {
    const { entries, data } = oneFile(SPAN_BYTES);
    await using layer = await Layer.serve(face, entries, data);
    const tree = new LayerTree(
      await Deno.readFile(`${layer.folder}/layers/${SLOT}/tree`),
    );
    for (let round = 0; round < 3; round++) {
      layer.system.remove(SLOT);
      const { directory, shown, presence } = layer.system.add({
        slot: SLOT,
        spanCount: tree.spans,
        hasXattrs: false,
        copy: () => false,
        ensure: () => Promise.reject(new Error("all is here")),
      }, tree);
      pwriteFully(layer.dataFd, data, 0);
      presence.fill(PRESENT);
      await shown;
      assert.equal(directory, layer.directory);
      const { errors, bytes } = await readInSteps(
        `${layer.directory}/file`,
        65536,
      );
      assert.equal(errors, 0);
      assertSameBytes(bytes, data.subarray(512, 512 + SPAN_BYTES));
    }
  },
);

Deno.test({
  name: "a tree that EROFS cannot say is shown by FUSE, with the reason",
  ignore: await erofsRefusal() !== null,
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    const { data } = oneFile(1000);
    const entries = [{ name: "file", offset: 513, size: 999 }];
    await using layer = await Layer.serve("erofs", entries, data);
    assert.match(layer.directory, /\/n\/7$/);
    assert.match(layer.fallbacks[0] ?? "", /byte 513/);
    const { bytes } = await readInSteps(`${layer.directory}/file`, 4096);
    assertSameBytes(bytes, data.subarray(513, 1512));
  },
});
