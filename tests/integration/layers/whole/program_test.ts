/** Programs that decompress layers, and what becomes of those that do something else. */
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import {
  decompressBy,
  DecompressorError,
} from "../../../../lib/layers/whole/mod.ts";
import { incompressible } from "../../../support/images/mod.ts";

const TAR = incompressible(3 * 2 ** 20, 7);
const PACKED = new Uint8Array(gzipSync(TAR));
const LIMITS = { outputBytes: 2 ** 23 };

function* pieces(bytes: Uint8Array<ArrayBuffer>) {
  for (let at = 0; at < bytes.length; at += 100_000) {
    yield bytes.slice(at, at + 100_000);
  }
}

const sh = (script: string) => ({ path: "/bin/sh", args: ["-c", script] });

async function bytesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** What a program makes of the packed bytes, and how many of these were read. */
async function made(
  program: Parameters<typeof decompressBy>[0],
  limits: Parameters<typeof decompressBy>[2] = LIMITS,
) {
  let read = 0;
  const stream = ReadableStream.from(pieces(PACKED)).pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        read += chunk.length;
        controller.enqueue(chunk);
      },
    }),
  );
  try {
    return {
      bytes: await bytesOf(decompressBy(program, stream, limits)),
      read,
    };
  } catch (error) {
    return { error: error as Error, read };
  }
}

Deno.test("a program gives what it makes of a layer, without a shell, an environment or root", async () => {
  const { bytes, read } = await made({ path: "/bin/gzip", args: ["-dc"] });
  assert.deepEqual(bytes, TAR);
  assert.equal(read, PACKED.length);
  Deno.env.set("SECRET_OF_DAEMON", "hunter2");
  const told = await made(
    sh(
      'cat >/dev/null; id -u; id -G; pwd; echo "[$SECRET_OF_DAEMON]"',
    ),
  );
  Deno.env.delete("SECRET_OF_DAEMON");
  assert.equal(
    new TextDecoder().decode(told.bytes),
    "65534\n65534\n/\n[]\n",
  );
});

Deno.test("a program that fails says so with its own words; one that is gone, ends early or says too much is told as well", async () => {
  const failures: [Parameters<typeof made>[0], RegExp][] = [
    [
      sh("cat >/dev/null; echo broken >&2; exit 3"),
      /^\/bin\/sh ended with 3: broken$/,
    ],
    [sh("kill -9 $$"), /ended with SIGKILL/],
    [sh("cat; head -c 1000000 /dev/zero >&2; exit 1"), /ended with 1/],
    [{ path: "/nowhere", args: [] }, /^\/nowhere cannot be run$/],
    [sh("cat /dev/zero"), /gave more than 8388608 bytes/],
  ];
  for (const [program, told] of failures) {
    const { error } = await made(program);
    assert.ok(error instanceof DecompressorError, String(error));
    assert.match(error.message, told);
  }
  // All of the layer is read nevertheless: somebody hashes it.
  const early = await made(sh("exec <&-; echo little"));
  assert.equal(new TextDecoder().decode(early.bytes), "little\n");
  assert.equal(early.read, PACKED.length);
});

Deno.test("a program that does nothing is ended, but not one that waits for the registry or for us", async () => {
  for (const script of ["sleep 100", "cat >/dev/null; exec >&-; sleep 100"]) {
    const { error } = await made(sh(`exec 2>&-; ${script}`), {
      ...LIMITS,
      stallMs: 300,
    });
    assert.match(error?.message ?? "", /did nothing for 0\.3 s/, script);
  }
  async function* slow() {
    for (const piece of pieces(PACKED)) {
      if (piece.length < 100_000) {
        await new Promise((r) => setTimeout(r, 2_500));
      }
      yield piece;
    }
  }
  const stream = decompressBy(
    { path: "/bin/gzip", args: ["-dc"] },
    ReadableStream.from(slow()),
    { ...LIMITS, stallMs: 2_000 },
  );
  let length = 0;
  for await (const bytes of stream) {
    if (length === 0) await new Promise((r) => setTimeout(r, 2_500));
    length += bytes.length;
  }
  assert.equal(length, TAR.length);
});

Deno.test("a download that fails is told as itself, and a reader that leaves ends the program", async () => {
  async function* torn() {
    yield PACKED.slice(0, 1000);
    await Promise.resolve();
    throw new TypeError("the line is cut");
  }
  await assert.rejects(
    bytesOf(
      decompressBy(sh("cat"), ReadableStream.from(torn()), LIMITS),
    ),
    /the line is cut/,
  );
  const mark = `mark-${crypto.randomUUID()}`;
  const reader = decompressBy(
    sh(`: ${mark}; cat; sleep 100`),
    ReadableStream.from(pieces(PACKED)),
    LIMITS,
  ).getReader();
  await reader.read();
  await reader.cancel();
  const living = [...Deno.readDirSync("/proc")].filter(({ name }) => {
    try {
      return /^\d+$/.test(name) &&
        Deno.readTextFileSync(`/proc/${name}/cmdline`).includes(mark);
    } catch {
      return false;
    }
  });
  assert.deepEqual(living, []);
});
