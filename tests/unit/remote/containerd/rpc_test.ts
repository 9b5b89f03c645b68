import assert from "node:assert/strict";
import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from "@grpc/grpc-js";
import {
  ContainerdError,
  isRpcError,
  RpcChannel,
  serviceDefinition,
  snapshotsApi,
  SnapshotsClient,
} from "../../../../lib/remote/containerd/mod.ts";
import { create as message } from "@bufbuild/protobuf";

const { Snapshots, StatSnapshotResponseSchema, ListSnapshotsResponseSchema } =
  snapshotsApi;

type Stat = ServerUnaryCall<snapshotsApi.StatSnapshotRequest, unknown>;
type List = ServerWritableStream<snapshotsApi.ListSnapshotsRequest, unknown>;

/** A snapshot service that knows `here`, never answers for `slow`, and lists without end. */
async function withServer(
  use: (
    channel: RpcChannel,
    seen: { namespace: unknown[]; cancelled: number },
  ) => Promise<void>,
): Promise<void> {
  const folder = Deno.makeTempDirSync();
  const socketPath = `${folder}/s`;
  const seen = { namespace: [] as unknown[], cancelled: 0 };
  const server = new Server();
  server.addService(serviceDefinition(Snapshots), {
    stat(call: Stat, reply: sendUnaryData<unknown>) {
      seen.namespace.push(...call.metadata.get("containerd-namespace"));
      const { key } = call.request;
      if (key === "slow") return;
      if (key !== "here") {
        reply({ code: status.NOT_FOUND, details: `no ${key}` });
        return;
      }
      reply(
        null,
        message(StatSnapshotResponseSchema, {
          info: {
            name: key,
            parent: "p",
            kind: snapshotsApi.Kind.COMMITTED,
            createdAt: { seconds: 1n, nanos: 500_000_000 },
            labels: { a: "ä" },
          },
        }),
      );
    },
    list(call: List) {
      let count = 0;
      const timer = setInterval(() => {
        call.write(
          message(ListSnapshotsResponseSchema, {
            info: [{ name: `n${count++}` }],
          }),
        );
      }, 1);
      call.on("cancelled", () => {
        seen.cancelled++;
        clearInterval(timer);
      });
    },
  });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(
      `unix:${socketPath}`,
      ServerCredentials.createInsecure(),
      (error) => error ? reject(error) : resolve(),
    )
  );
  try {
    using channel = new RpcChannel({ socketPath, namespace: "tests" });
    await use(channel, seen);
  } finally {
    server.forceShutdown();
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("a call carries its message and the namespace there, and the answer back", () =>
  withServer(async (channel, seen) => {
    const record = await new SnapshotsClient(channel, "soci").stat("here");
    assert.deepEqual(record, {
      name: "here",
      parent: "p",
      kind: "committed",
      createdAt: new Date(1500),
      updatedAt: null,
      labels: { a: "ä" },
    });
    assert.deepEqual(seen.namespace, ["tests"]);
  }));

Deno.test("an error has the code's published name and the server's words", () =>
  withServer(async (channel) => {
    const client = new SnapshotsClient(channel, "soci");
    await assert.rejects(client.stat("gone"), (error) => {
      assert.ok(isRpcError(error, "NOT_FOUND"));
      assert.equal(error.details, "no gone");
      return true;
    });
    assert.equal(await client.has("gone"), false);
  }));

Deno.test("a method the server does not have is UNIMPLEMENTED", () =>
  withServer(async (channel) => {
    const client = new SnapshotsClient(channel, "soci");
    await assert.rejects(
      client.remove("here"),
      (error) => isRpcError(error, "UNIMPLEMENTED"),
    );
  }));

Deno.test("leaving a stream early cancels it on the server", () =>
  withServer(async (channel, seen) => {
    const names: string[] = [];
    for await (const { name } of new SnapshotsClient(channel, "s").list()) {
      names.push(name);
      if (names.length === 3) break;
    }
    assert.deepEqual(names, ["n0", "n1", "n2"]);
    for (let i = 0; i < 100 && seen.cancelled === 0; i++) {
      await new Promise((wake) => setTimeout(wake, 5));
    }
    assert.equal(seen.cancelled, 1);
  }));

Deno.test("a call ends at its deadline or when its signal fires", () =>
  withServer(async (channel) => {
    const client = new SnapshotsClient(channel, "soci");
    await assert.rejects(
      client.stat("slow", { timeoutMs: 30 }),
      (error) => isRpcError(error, "DEADLINE_EXCEEDED"),
    );
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 10);
    await assert.rejects(
      client.stat("slow", { signal: abort.signal }),
      (error) => isRpcError(error, "CANCELLED"),
    );
    await assert.rejects(
      client.stat("here", { signal: abort.signal }),
      (error) => isRpcError(error, "CANCELLED"),
    );
  }));

Deno.test("a socket nobody listens on is one UNAVAILABLE error, soon, that names the socket", async () => {
  using channel = new RpcChannel({ socketPath: "/tmp/nobody-listens.sock" });
  const started = performance.now();
  await assert.rejects(
    new SnapshotsClient(channel, "soci").stat("x"),
    (error) => {
      assert.ok(error instanceof ContainerdError);
      assert.equal(error.code, "UNAVAILABLE");
      assert.match(error.message, /\/tmp\/nobody-listens\.sock/);
      return true;
    },
  );
  assert.ok(performance.now() - started < 2000);
});
