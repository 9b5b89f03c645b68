import assert from "node:assert/strict";
import { compileTree } from "../../../../lib/layers/compiler/mod.ts";
import {
  ReadersAtWork,
  SlotTable,
  SpanStarts,
} from "../../../../lib/layers/fs/shared/mod.ts";
import { SpanMap } from "../../../../lib/layers/spans/mod.ts";
import { spanTable } from "../../../../lib/formats/ztoc/mod.ts";
import { TarBuilder } from "../../../support/images/mod.ts";
import { incompressible } from "../../../support/images/random.ts";
import type { PunchReader, PunchReport } from "./punch_worker.ts";
import { indexed, serve } from "./support.ts";

const SLOT = 7;
const SECONDS = 4;

Deno.test("a reader between looking and reading never takes the hole of a span that went", async () => {
  // No zero byte in it: a hole differs from it everywhere.
  const expected = incompressible(4 * 2 ** 20).map((byte) => byte | 1);
  const layer = indexed(
    new TarBuilder().file("file", expected),
    128 * 1024,
    "uncompressed",
  );
  const spans = spanTable(layer.ztoc);
  const layers = Deno.makeTempDirSync({ prefix: "soci-deno-punch-" });
  const folder = `${layers}/${SLOT}`;
  Deno.mkdirSync(folder);
  Deno.writeFileSync(
    `${folder}/tree`,
    compileTree({
      entries: layer.ztoc.entries,
      spanStarts: Array.from({ length: spans.count }, (_, i) => spans.start(i)),
      dataSize: layer.ztoc.uncompressedSize,
    }),
  );
  const slots = new SlotTable(SlotTable.allocate(8));
  slots.add(SLOT, 0, spans.count);
  const readers = new ReadersAtWork(ReadersAtWork.allocate(1));
  const presence = new SharedArrayBuffer(spans.count);
  const starts = new SpanStarts(SpanStarts.allocate(spans.count + 1));
  starts.write(
    0,
    Float64Array.from(
      { length: spans.count + 1 },
      (_, i) => i < spans.count ? spans.start(i) : layer.ztoc.uncompressedSize,
    ),
  );
  const map = SpanMap.open(`${folder}/shared-spans`, new Uint8Array(presence), {
    bootId: "x".repeat(36),
    trusted: false,
  });
  const worker = new Worker(new URL("./punch_worker.ts", import.meta.url), {
    type: "module",
  });
  const onGone = () => {
    slots.spansGone(SLOT);
    return readers.left();
  };
  let rounds = 0;
  try {
    await using served = serve(layer, {
      folder,
      workers: 1,
      more: { map, onGone },
    });
    const report = new Promise<PunchReport>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => reject(new Error(event.message));
    });
    worker.postMessage(
      {
        layersDirectory: layers,
        slots: slots.memory,
        presence,
        starts: starts.memory,
        readers: readers.memory,
        slot: SLOT,
        expected,
        seconds: SECONDS,
      } satisfies PunchReader,
    );
    let reading = true;
    report.finally(() => reading = false);
    const all = Array.from({ length: spans.count }, (_, span) => span);
    while (reading) {
      await served.reader.ensureSpans(
        0,
        spans.count - 1,
        "demand",
        AbortSignal.timeout(20_000),
      );
      for (const span of all) await served.reader.evict([span]);
      rounds++;
    }
    const { served: reads, deferred, wrong } = await report;
    assert.equal(wrong, 0);
    assert.ok(reads > 500 && deferred > 500, `${reads}, ${deferred}`);
    assert.ok(rounds > 20, `${rounds} rounds`);
  } finally {
    worker.terminate();
    map[Symbol.dispose]();
    Deno.removeSync(layers, { recursive: true });
  }
});
