/** What follows the last gzip member: as gzip itself takes it, while indexing and while reading. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import {
  type Checkpoint,
  DeflateError,
  GzipIndexer,
  SpanInflater,
} from "../../../../lib/formats/deflate/mod.ts";
import { incompressible } from "../../../support/images/mod.ts";

const HELLO = gzipSync("hello");
const zeros = (count: number) => Buffer.alloc(count);

/** What gzip says of a file; null where it fails (2 is a warning: it gave all there is). */
async function gunzip(bytes: Uint8Array): Promise<string | null> {
  const child = new Deno.Command("gzip", {
    args: ["-dc"],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const written = new Blob([new Uint8Array(bytes)]).stream().pipeTo(child.stdin)
    .catch(() => {}); // it may leave before it has read everything
  const { code, stdout } = await child.output();
  await written;
  return code === 0 || code === 2 ? new TextDecoder().decode(stdout) : null;
}

/** What our indexer reads, and what a span inflates to that ends with the file; null where refused. */
function ours(gzip: Uint8Array, pieceBytes: number): string | null {
  const output: Uint8Array[] = [];
  const checkpoints: Checkpoint[] = [];
  const indexer = new GzipIndexer({
    spanSize: 1000,
    onOutput: (chunk) => output.push(chunk.slice()),
    onCheckpoint: (checkpoint) => checkpoints.push(checkpoint),
  });
  try {
    for (let at = 0; at < gzip.length; at += pieceBytes) {
      indexer.push(gzip.subarray(at, at + pieceBytes));
    }
    assert.equal(indexer.finish().compressedSize, gzip.length);
  } catch (error) {
    assert.ok(error instanceof DeflateError, String(error));
    return null;
  }
  const text = Buffer.concat(output).toString();
  const { in: start, bits, window } = checkpoints[0]!;
  const inflater = new SpanInflater();
  // More than there is: the span is read to the file's end, as the check of a whole layer does it.
  inflater.begin(bits, window, text.length + 1000);
  for (let at = start; at < gzip.length; at += pieceBytes) {
    inflater.push(gzip.subarray(at, at + pieceBytes));
  }
  assert.throws(() => inflater.end(), DeflateError, "it gives no more");
  const toEnd = inflater.inflateToEnd(
    gzip.subarray(start),
    bits,
    window,
    text.length + 1000,
  );
  assert.equal(Buffer.from(toEnd).toString(), text);
  return text;
}

const wrongMethod = Buffer.from(HELLO);
wrongMethod[2] = 7;
const reservedFlags = Buffer.from(HELLO);
reservedFlags[3] = 0xe0;

for (
  const [what, behind, expected] of [
    ["nothing", Buffer.alloc(0), "hello"],
    ["another member", HELLO, "hellohello"],
    ["a zero", zeros(1), "hello"],
    ["9 zeros", zeros(9), "hello"],
    ["many zeros", zeros(700_000), "hello"],
    ["zeros and a member", Buffer.concat([zeros(100), HELLO]), "hello"],
    ["zeros and text", Buffer.concat([zeros(600), Buffer.from("x")]), "hello"],
    ["text", Buffer.from("signature: none"), "hello"],
    ["noise", Buffer.from(incompressible(70_000)), "hello"],
    ["half of the magic number", Buffer.from([0x1f, 0x00]), "hello"],
    ["a member cut in its header", HELLO.subarray(0, 9), null],
    ["a member cut in its data", HELLO.subarray(0, 13), null],
    ["a member cut in its trailer", HELLO.subarray(0, -3), null],
    ["a member of an unknown method", wrongMethod, null],
    ["a member with reserved flags", reservedFlags, null],
  ] as const
) {
  Deno.test(`behind a gzip member, ${what}: ${expected === null ? "refused" : "taken"} as gzip does`, async () => {
    const file = Buffer.concat([HELLO, behind]);
    assert.equal(await gunzip(file), expected);
    for (const pieceBytes of [1, 7, file.length]) {
      assert.equal(ours(file, pieceBytes), expected, `${pieceBytes}`);
    }
  });
}

Deno.test("a file that begins with no gzip member is none, whatever it is", () => {
  for (const file of [zeros(50), Buffer.from("text"), Buffer.from([0x1f])]) {
    assert.equal(ours(file, 100), null);
  }
});
