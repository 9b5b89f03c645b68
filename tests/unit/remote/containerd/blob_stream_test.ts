/** The short way to a blob's bytes: from a server that is as it should be, and from others. */
import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  Server,
  ServerCredentials,
  type ServerWritableStream,
  status,
} from "@grpc/grpc-js";
import fc from "fast-check";
import {
  ContentClient,
  isRpcError,
  RpcChannel,
  serviceDefinition,
} from "../../../../lib/remote/containerd/mod.ts";
import { streamBlob } from "../../../../lib/remote/containerd/blob_stream.ts";
import {
  Content,
  type ReadContentRequest,
  ReadContentResponseSchema,
} from "../../../../lib/remote/containerd/gen/containerd/services/content/v1/content_pb.ts";
import { http2Frame } from "../../../../lib/remote/containerd/http2_frames.ts";
import { ReadAnswers } from "../../../../lib/remote/containerd/read_answers.ts";
import { incompressible, joinBytes } from "../../../support/images/mod.ts";

const MIB = 2 ** 20;
const BLOB = incompressible(9 * MIB + 12_345);

/** A message as gRPC frames it. */
function answer(data: Uint8Array, offset = 0): Uint8Array {
  const message = toBinary(
    ReadContentResponseSchema,
    create(ReadContentResponseSchema, { offset: BigInt(offset), data }),
  );
  const prefix = new Uint8Array(5);
  new DataView(prefix.buffer).setUint32(1, message.length);
  return joinBytes([prefix, message]);
}

async function inFolder(use: (socketPath: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-blobs-" });
  try {
    await use(`${folder}/s`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Everything the short way gives. */
async function collect(
  socketPath: string,
  options: { offset?: number; length: number; signal?: AbortSignal },
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const about = { socketPath, namespace: "tests", digest: "sha256:here" };
  for await (const piece of streamBlob({ ...about, offset: 0, ...options })) {
    pieces.push(piece);
  }
  return joinBytes(pieces);
}

type Read = ServerWritableStream<ReadContentRequest, unknown>;

/** A content service over grpc-js, whose `read` is the test's. */
function withService(
  read: (call: Read) => void,
  use: (socketPath: string) => Promise<void>,
): Promise<void> {
  return inFolder(async (socketPath) => {
    const server = new Server();
    server.addService(serviceDefinition(Content), { read });
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(
        `unix:${socketPath}`,
        ServerCredentials.createInsecure(),
        (error) => error ? reject(error) : resolve(),
      )
    );
    try {
      await use(socketPath);
    } finally {
      server.forceShutdown();
    }
  });
}

/** Answers with the blob, in messages of these sizes; gives up after so many bytes. */
function giving(sizes: readonly number[], until = Infinity) {
  return (call: Read) => {
    const { offset, size } = call.request;
    assert.deepEqual(call.metadata.get("containerd-namespace"), ["tests"]);
    const end = Number(size === 0n ? BigInt(BLOB.length) : offset + size);
    for (let at = Number(offset), i = 0; at < end; i++) {
      if (at - Number(offset) >= until) {
        call.emit("error", { code: status.DATA_LOSS, details: "it is gone" });
        return;
      }
      const to = Math.min(end, at + sizes[i % sizes.length]!);
      call.write(
        create(ReadContentResponseSchema, {
          offset: BigInt(at),
          data: BLOB.subarray(at, to),
        }),
      );
      at = to;
    }
    call.end();
  };
}

Deno.test("a blob comes whole, in part, and several at once, whatever its messages", () =>
  withService(
    giving([MIB, 1, 0, 70_000, 127, 128, 3 * MIB]),
    async (socket) => {
      assert.deepEqual(await collect(socket, { length: BLOB.length }), BLOB);
      const parts = await Promise.all(
        [0, 1, 5 * MIB].map((offset) =>
          collect(socket, { offset, length: 2 * MIB + 1 })
        ),
      );
      for (const [i, offset] of [0, 1, 5 * MIB].entries()) {
        assert.deepEqual(
          parts[i],
          BLOB.subarray(offset, offset + 2 * MIB + 1),
        );
      }
    },
  ));

Deno.test("what breaks off is asked for again where it stopped, and the error is the server's", () => {
  /** Bytes after which each call breaks off. */
  let limits = [3 * MIB, Infinity];
  const serve = (call: Read) => giving([MIB], limits.shift())(call);
  return withService(serve, async (socketPath) => {
    using channel = new RpcChannel({ socketPath, namespace: "tests" });
    const client = new ContentClient(channel);
    const pieces: Uint8Array[] = [];
    const read = async () => {
      const length = BLOB.length;
      for await (const piece of client.readBlob("sha256:here", { length })) {
        pieces.push(piece);
      }
    };
    await read();
    assert.deepEqual(joinBytes(pieces.splice(0)), BLOB);
    assert.deepEqual(limits, [], "both ways were taken");
    limits = [2 * MIB, MIB];
    await assert.rejects(read(), (error) => isRpcError(error, "DATA_LOSS"));
    assert.deepEqual(joinBytes(pieces), BLOB.subarray(0, 3 * MIB));
  });
});

Deno.test("a read that is given up ends at once, with the reason", () =>
  withService((call) =>
    void call.write(
      create(ReadContentResponseSchema, { data: BLOB.subarray(0, MIB) }),
    ), async (socketPath) => {
    using channel = new RpcChannel({ socketPath, namespace: "tests" });
    const abort = new AbortController();
    await assert.rejects(
      async () => {
        for await (
          const _ of new ContentClient(channel).readBlob("sha256:here", {
            length: BLOB.length,
            signal: abort.signal,
          })
        ) setTimeout(() => abort.abort(), 10);
      },
      (error) => isRpcError(error, "CANCELLED"),
    );
    for await (
      const _ of streamBlob({
        ...{ socketPath, namespace: "tests", digest: "sha256:here" },
        ...{ offset: 0, length: BLOB.length },
      })
    ) break; // a reader that leaves closes the connection
  }));

const DATA = (payload: Uint8Array, flags = 0, stream = 1) =>
  http2Frame(0, flags, stream, payload);
const HELLO = answer(new TextEncoder().encode("hello"));
const noise = incompressible(60_000);
const prefix = (length: number, compressed = 0) => {
  const bytes = new Uint8Array(5);
  bytes[0] = compressed;
  new DataView(bytes.buffer).setUint32(1, length);
  return bytes;
};

for (
  const [what, bytes, expected] of [
    ["closes at once", [], ""],
    ["sends noise", [noise], ""],
    ["sends a frame that is too large", [
      DATA(HELLO),
      Uint8Array.of(0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1),
    ], "hello"],
    ["leaves", [DATA(HELLO), http2Frame(7, 0, 0, new Uint8Array(8))], "hello"],
    ["resets the stream", [
      DATA(HELLO),
      http2Frame(3, 0, 1, new Uint8Array(4)),
    ], "hello"],
    ["answers another stream", [DATA(HELLO, 0, 3)], ""],
    ["pads", [DATA(HELLO, 8)], ""],
    ["compresses", [DATA(prefix(10, 1))], ""],
    ["announces a huge message", [DATA(prefix(0xffff_ffff))], ""],
    [
      "sends unknown fields",
      [DATA(prefix(2)), DATA(Uint8Array.of(0x18, 1))],
      "",
    ],
    ["says more data than its message has", [
      DATA(joinBytes([prefix(3), Uint8Array.of(0x12, 0xff, 0x7f)])),
    ], ""],
    ["sends a number without end", [
      DATA(joinBytes([prefix(99), new Uint8Array(99).fill(0xff)])),
    ], ""],
    ["breaks off in a message", [DATA(HELLO.subarray(0, 7), 1)], ""],
    ["sends more than was asked for", [
      DATA(HELLO),
      DATA(answer(new Uint8Array(16_000))),
    ], "hello"],
    ["fails", [http2Frame(1, 5, 1, Uint8Array.of(0x88))], ""],
    ["asks and tells this and that, and answers", [
      http2Frame(4, 0, 0, Uint8Array.of(0, 3, 0, 0, 0, 100)),
      http2Frame(6, 0, 0, new Uint8Array(8)),
      http2Frame(8, 0, 0, Uint8Array.of(0, 1, 0, 0)),
      http2Frame(1, 4, 1, Uint8Array.of(0x88)),
      DATA(HELLO.subarray(0, 6)),
      DATA(new Uint8Array(0)),
      DATA(HELLO.subarray(6)),
      http2Frame(1, 5, 1, Uint8Array.of(0x88)),
    ], "hello"],
  ] as const
) {
  Deno.test(`from a server that ${what} comes ${expected === "" ? "nothing" : "what it gave before"}, and no error`, () =>
    inFolder(async (path) => {
      using listener = Deno.listen({ transport: "unix", path });
      const served = (async () => {
        using connection = await listener.accept();
        await connection.read(new Uint8Array(65_536));
        for (const frame of bytes) await connection.write(frame);
        if (expected !== "") {
          await connection.read(new Uint8Array(65_536)).catch(() => {});
        }
      })();
      const got = await collect(path, { length: 1000 });
      assert.equal(new TextDecoder().decode(got), expected);
      await served.catch(() => {}); // it may be left before it has written everything
    }));
}

Deno.test("nobody who listens is no error either", () =>
  inFolder(async (path) => {
    assert.equal((await collect(path, { length: 10 })).length, 0);
  }));

Deno.test("answers are taken apart wherever they are cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(400), { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 300 }), {
        minLength: 1,
        maxLength: 9,
      }),
      (sizes, cuts) => {
        let at = 0;
        const bytes = joinBytes(sizes.map((size) => {
          const message = answer(BLOB.subarray(at, at + size), at);
          at += size;
          return message;
        }));
        const answers = new ReadAnswers();
        const data: Uint8Array[] = [];
        for (let from = 0, i = 0; from < bytes.length; i++) {
          const to = from + cuts[i % cuts.length]!;
          data.push(...answers.push(bytes.subarray(from, to)));
          from = to;
        }
        assert.deepEqual(joinBytes(data), BLOB.subarray(0, at));
      },
    ),
    { numRuns: 200 },
  );
});
