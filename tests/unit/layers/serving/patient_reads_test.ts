import assert from "node:assert/strict";
import {
  PatientReads,
  ReadTimeoutError,
} from "../../../../lib/layers/serving/patient_reads.ts";
import { NotYetHere } from "../../../../lib/layers/spans/mod.ts";
import { noiseLayer, serve } from "../spans/support.ts";

/** How far a source has come that gives its bytes in their order only. */
class Arrival {
  at = 0;
  lastMs = performance.now();
  #next = Promise.withResolvers<void>();

  /** So many bytes more are here. */
  advance(bytes: number): void {
    this.at += bytes;
    this.lastMs = performance.now();
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve();
  }

  /** What a source answers that is asked for bytes from `start` to `end`. */
  check(start: number, end: number): void {
    if (start < this.at) return;
    throw new NotYetHere(async (signal) => {
      while (this.at < end) {
        const gone = Promise.withResolvers<never>();
        gone.promise.catch(() => {});
        const leave = () => gone.reject(signal.reason);
        signal.addEventListener("abort", leave, { once: true });
        await Promise.race([this.#next.promise, gone.promise])
          .finally(() => signal.removeEventListener("abort", leave));
      }
    }, () => this.lastMs);
  }
}

const figures = () => ({ waits: 0, waitedMs: 0 });

Deno.test("a read waits for its turn as long as bytes come, however long that is", async () => {
  const layer = noiseLayer(6);
  await using served = serve(layer);
  const arrival = new Arrival();
  served.source.gate = ({ start, end }) => arrival.check(start, end);
  const reads = new PatientReads(served.reader, 300, figures());
  const last = layer.ztoc.uncompressedSize - 1;
  const { signal } = new AbortController();
  const start = performance.now();
  const reading = reads.ensure(last, 1, signal);
  const timer = setInterval(
    () => arrival.advance(Math.ceil(layer.blob.length / 8)),
    120,
  );
  await reading.finally(() => clearInterval(timer));
  assert.ok(performance.now() - start > 600);
});

Deno.test("a read does not wait longer than it may where nothing comes", async () => {
  const layer = noiseLayer(4);
  await using served = serve(layer);
  const arrival = new Arrival();
  served.source.gate = ({ start, end }) => arrival.check(start, end);
  const counted = figures();
  const reads = new PatientReads(served.reader, 200, counted);
  const last = layer.ztoc.uncompressedSize - 1;
  const { signal } = new AbortController();
  await assert.rejects(reads.ensure(last, 1, signal), ReadTimeoutError);
  assert.equal(counted.waits, 1);
  assert.ok(counted.waitedMs >= 190, `${counted.waitedMs} ms`);
});

Deno.test("reads that wait for their turn hold up no others", async () => {
  const layer = noiseLayer(6);
  await using late = serve(layer);
  const arrival = new Arrival();
  late.source.gate = ({ start, end }) => arrival.check(start, end);
  await using other = serve(layer, {
    scheduler: late.scheduler,
    pool: late.pool,
  });
  const { signal } = new AbortController();
  const leaving = new AbortController();
  const waiting = new PatientReads(late.reader, 60_000, figures());
  const turns = [1, 2, 3, 4].map((span) =>
    waiting.ensure(span * 65_536, 1, leaving.signal)
  );
  await new PatientReads(other.reader, 5_000, figures()).ensure(
    0,
    300_000,
    signal,
  );
  leaving.abort(new Error("enough"));
  for (const turn of turns) await assert.rejects(turn);
});
