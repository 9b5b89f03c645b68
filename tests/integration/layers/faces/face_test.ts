/** Layers shown by a real kernel, on both faces, with data that comes, waits, or does not come. */
import { mountHelperArguments } from "../../../../cmd/program.ts";
import assert from "node:assert/strict";
import { LayerTree, treeFacts } from "../../../../lib/layers/tree/mod.ts";
import { compileTree } from "../../../../lib/layers/compiler/mod.ts";
import { LayerFileSystem } from "../../../../lib/layers/fs/mod.ts";
import { PRESENT } from "../../../../lib/layers/presence/mod.ts";
import { listMounts } from "../../../../lib/host/mounting/mod.ts";
import { pwriteFully } from "../../../../lib/host/os/mod.ts";
import { erofsRefusal, onEveryFace } from "../../../support/erofs/mod.ts";
import { busyboxBytes } from "../../../support/images/mod.ts";
import { readInSteps } from "../../../support/compare/mod.ts";
import { pause, run, tryRun } from "../../../support/host/mod.ts";
import { testUnless } from "../../../support/test_unless.ts";
import { entry } from "../../../unit/layers/tree/support.ts";
import { assertSameBytes, Layer, oneFile, SLOT, SPAN_BYTES } from "./layer.ts";

/** Read-ahead of the EROFS mounts. */
const MAX_FOLIO_BYTES = 1024 * 1024;

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

testUnless(await erofsRefusal(), {
  name: "a tree that EROFS cannot say is shown by FUSE, with the reason",
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    const { data } = oneFile(1000);
    const entries = [{ name: "file", offset: 513, size: 999 }];
    await using layer = await Layer.serve("erofs", entries, data);
    assert.match(layer.directory, /\/x\/7$/);
    assert.match(layer.fallbacks[0] ?? "", /byte 513/);
    const { bytes } = await readInSteps(`${layer.directory}/file`, 4096);
    assertSameBytes(bytes, data.subarray(513, 1512));
  },
});

testUnless(await erofsRefusal(), {
  name: "a layer that is shown again at once is shown by EROFS",
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-face-" });
    await Deno.mkdir(`${folder}/layers/${SLOT}`, { recursive: true });
    const bytes = compileTree({
      // An image that takes a while to be written.
      entries: Array.from(
        { length: 50_000 },
        (_, at) => entry({ name: `directory-${at % 9}/file-${at}` }),
      ),
      spanStarts: [0],
      dataSize: 1024,
    });
    await Deno.writeFile(`${folder}/layers/${SLOT}/tree`, bytes);
    await Deno.writeFile(`${folder}/layers/${SLOT}/data`, new Uint8Array(1024));
    const fallbacks: string[] = [];
    {
      await using system = await LayerFileSystem.start({
        layersDirectory: `${folder}/layers`,
        mountDirectory: `${folder}/fs`,
        mountHelper: mountHelperArguments(),
        face: "erofs",
        onFallback: (_, reason) => fallbacks.push(reason),
      });
      const show = () =>
        system.add({
          ...{ slot: SLOT, spanCount: 1, hasXattrs: false },
          copy: () => false,
          ensure: () => Promise.reject(new Error("nothing is read")),
        }, new LayerTree(bytes));
      show();
      system.remove(SLOT);
      const { directory, shown } = show();
      await shown;
      assert.deepEqual(fallbacks, []);
      const { stdout } = await run("ls", [`${directory}/directory-8`], {
        timeoutMs: 20_000,
      });
      assert.equal(stdout.trim().split("\n").length, 5555);
    }
    await Deno.remove(folder, { recursive: true });
  },
});

testUnless(await erofsRefusal(), {
  name:
    "a layer whose image cannot be mounted is shown by FUSE in its place, once its tree is there",
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    const { entries, data } = oneFile(1000);
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-face-" });
    const home = `${folder}/layers/${SLOT}`;
    await Deno.mkdir(home, { recursive: true });
    await Deno.writeFile(`${home}/data`, data);
    const bytes = compileTree({
      entries: entries.map(entry),
      spanStarts: [0],
      dataSize: data.length,
    });
    const fallbacks: string[] = [];
    {
      await using system = await LayerFileSystem.start({
        layersDirectory: `${folder}/layers`,
        mountDirectory: `${folder}/fs`,
        mountHelper: mountHelperArguments(),
        face: "erofs",
        onFallback: (_, reason) => fallbacks.push(reason),
      });
      const { directory, shown, presence } = system.add({
        ...{ slot: SLOT, spanCount: 1, hasXattrs: false },
        saved: pause(300).then(() => Deno.writeFile(`${home}/tree`, bytes)),
        copy: () => false,
        ensure: () => Promise.reject(new Error("all is here")),
        // It was there when it was made.
      }, { ...treeFacts(new LayerTree(bytes)), image: { kind: "on disk" } });
      presence.fill(PRESENT);
      await shown;
      assert.equal(directory, `${folder}/fs/e/${SLOT}`);
      assert.match(fallbacks.join(), /ENOENT/);
      // A bind mount has the flags of what it shows: setuid programs do nothing here, either.
      assert.match(
        Deno.readTextFileSync("/proc/self/mountinfo"),
        new RegExp(` ${directory} ro,nosuid,nodev\\b.* - fuse\\.soci-deno `),
      );
      const { bytes: read } = await readInSteps(`${directory}/file`, 4096);
      assertSameBytes(read, data.subarray(512, 1512));
    }
    await Deno.remove(folder, { recursive: true });
  },
});

testUnless(await erofsRefusal(), {
  name: "with EROFS the kernel keeps a file's bytes once",
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    const size = 4 * SPAN_BYTES;
    const { entries, data } = oneFile(size);
    await using layer = await Layer.serve("erofs", entries, data);
    const path = `${layer.directory}/file`;
    await readInSteps(path, 65536);
    layer.uses.fill(0);
    await readInSteps(path, 65536);
    assert.ok(layer.uses.every((use) => use === 0), "nothing is asked again");
    // The file's pages go, and no others: were the blob's there, we would not be asked.
    await run("dd", [`if=${path}`, "iflag=nocache", "count=0"]);
    await readInSteps(path, 65536);
    assert.ok(layer.uses.every((use) => use === 1), "the blob was kept, too");
  },
});

testUnless(await erofsRefusal(), {
  name:
    "the kernel reads far ahead where all of a layer is here, and little where a start pack brings it",
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    const { entries, data } = oneFile(SPAN_BYTES);
    await using layer = await Layer.serve("erofs", entries, data);
    const kept = `${layer.folder}/layers/${SLOT}/read-ahead-device`;
    let device = "";
    for (let tries = 0; tries < 100 && device === ""; tries++) {
      await pause(50);
      device = await Deno.readTextFile(kept).catch(() => "");
    }
    const readAhead = () =>
      Deno.readTextFileSync(`/sys/class/bdi/${device}/read_ahead_kb`).trim();
    assert.equal(readAhead(), "128");
    layer.system.spansHere(SLOT, "here");
    assert.equal(readAhead(), "1024");
    layer.system.spansHere(SLOT, "not here");
    assert.equal(readAhead(), "128");
    layer.system.packHere(SLOT, "here");
    assert.equal(readAhead(), "32");
    layer.system.spansHere(SLOT, "here");
    assert.equal(readAhead(), "1024", "nothing that is read ahead is missing");
    layer.system.spansHere(SLOT, "not here");
    assert.equal(readAhead(), "32");
    layer.system.packHere(SLOT, "not here");
    assert.equal(readAhead(), "128");
    layer.system.spansHere(SLOT, "here");
    layer.system.remove(SLOT);
    await layer.system.settled();
    assert.throws(readAhead, Deno.errors.NotFound, "it was this mount's");
  },
});

testUnless(await erofsRefusal(), {
  name:
    "where EROFS shows the layers, the other mount gets a Worker when it is asked",
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    const { entries, data } = oneFile(SPAN_BYTES);
    await using layer = await Layer.serve("erofs", entries, data, {
      workersPerMount: 1,
    });
    const before = workerThreads();
    const read = await readInSteps(`${layer.directory}/file`, 4096);
    assert.equal(read.errors, 0);
    assert.equal(workerThreads(), before);

    const tree = `${layer.folder}/fs/x/${SLOT}`;
    const listed = await run("timeout", ["20", "ls", tree]);
    assert.equal(listed.stdout.trim(), "file");
    assert.equal(workerThreads(), before + 1);
    const again = await readInSteps(`${tree}/file`, 4096);
    assertSameBytes(again.bytes, data.subarray(512, 512 + SPAN_BYTES));
  },
});

function workerThreads(): number {
  return [...Deno.readDirSync("/proc/self/task")].filter(({ name }) =>
    Deno.readTextFileSync(`/proc/self/task/${name}/comm`).startsWith("worker-")
  ).length;
}
