import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  type Checkpoint,
  GzipIndexer,
  SpanInflater,
} from "../../../../lib/formats/deflate/mod.ts";
import { run } from "../../../support/host/mod.ts";

const FILES = 60;

Deno.test("members of every level, strategy, window, memory and flush of zlib come out whole and span by span", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { stdout } = await run("python3", [
      ...[`${import.meta.dirname}/gzip_maker.py`, folder, String(FILES)],
    ]);
    const lines = stdout.trim().split("\n");
    assert.equal(lines.length, FILES);
    const inflater = new SpanInflater();
    let spans = 0;
    for (const [number, line] of lines.entries()) {
      const wanted = JSON.parse(line) as { size: number; sha256: string };
      const gzip = await Deno.readFile(`${folder}/${number}.gz`);
      const checkpoints: Checkpoint[] = [];
      const whole = createHash("sha256");
      const indexer = new GzipIndexer({
        spanSize: [1, 1000, 40_000, 300_000][number % 4]!,
        onOutput: (chunk) => whole.update(chunk),
        onCheckpoint: (checkpoint) => {
          if (checkpoints.at(-1)?.out === checkpoint.out) checkpoints.pop();
          checkpoints.push(checkpoint);
        },
      });
      const pieceBytes = [1 << 20, 4096, 333, 65536][(number >> 2) % 4]!;
      for (let at = 0; at < gzip.length; at += pieceBytes) {
        indexer.push(gzip.subarray(at, at + pieceBytes));
      }
      const { uncompressedSize, compressedSize } = indexer.finish();
      assert.equal(uncompressedSize, wanted.size);
      assert.equal(compressedSize, gzip.length);
      assert.equal(whole.digest("hex"), wanted.sha256, `file ${number}`);
      const together = createHash("sha256");
      for (
        const [i, { in: start, out, bits, window }] of checkpoints.entries()
      ) {
        const next = checkpoints[i + 1];
        together.update(inflater.inflate(
          gzip.subarray(start - (bits > 0 ? 1 : 0), next?.in),
          bits,
          window,
          (next?.out ?? uncompressedSize) - out,
        ));
      }
      assert.equal(together.digest("hex"), wanted.sha256, `spans of ${number}`);
      spans += checkpoints.length;
    }
    assert.ok(spans > 500, `${spans} spans`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
