import assert from "node:assert/strict";
import { bindingFolder } from "../../../../lib/host/control/mod.ts";
import {
  isRpcError,
  RpcChannel,
  type RpcCode,
  snapshotsApi,
  SnapshotsClient,
} from "../../../../lib/remote/containerd/mod.ts";
import {
  type LayerProvider,
  Snapshotter,
} from "../../../../lib/images/snapshotter/mod.ts";
import { Activity } from "../../../../lib/host/memory/mod.ts";
import { momentNow } from "../../../../lib/host/os/mod.ts";
import { NO_LAYERS } from "../../../../lib/images/snapshotter/provider.ts";
import { TARGET_LABEL } from "../../../../lib/images/snapshotter/types.ts";
import { serveAt, withSnapshotter } from "./support.ts";

const hasCode = (code: RpcCode) => (error: unknown) => isRpcError(error, code);

async function withService(
  use: (
    client: SnapshotsClient,
    address: string,
    snapshotter: Snapshotter,
  ) => Promise<void>,
  provider?: LayerProvider,
): Promise<void> {
  await withSnapshotter(async (snapshotter, root) => {
    const address = `${root}/run/s.sock`;
    await using _service = await serveAt(address, snapshotter);
    using channel = new RpcChannel({ socketPath: address, namespace: "ns" });
    await use(new SnapshotsClient(channel, "soci"), address, snapshotter);
  }, provider);
}

Deno.test("every method of the service answers", () =>
  withService(async (client, _address, snapshotter) => {
    const [bind] = await client.prepare("k", "", { labels: { a: "1" } });
    assert.equal(bind?.type, "bind");
    assert.deepEqual(await client.mounts("k"), [bind]);
    assert.equal((await client.usage("k")).inodes, 1);
    await client.commit("one", "k", { labels: { b: "2" } });
    const stat = await client.stat("one");
    assert.equal(stat.kind, "committed");
    assert.deepEqual(stat.labels, { b: "2" });
    assert.equal(
      stat.createdAt?.getTime(),
      snapshotter.stat("one").createdAt.ms,
    );
    const updated = await client.updateLabels("one", { c: "3", b: "" });
    assert.deepEqual(updated.labels, { c: "3" });
    const [view] = await client.view("v", "one");
    assert.deepEqual(view?.options, ["ro", "rbind"]);
    await client.remove("v");
    await client.remove("one");
    await client.cleanup();
    assert.deepEqual(snapshotter.list(), []);
  }));

Deno.test("what is done while nobody waits is told of a Prepare before it begins, and until it is answered or has failed", () =>
  withSnapshotter(async (snapshotter, root) => {
    const calls = new Activity();
    const address = `${root}/s.sock`;
    await using _service = await serveAt(
      ...[address, snapshotter, "fail", () => calls.begin()] as const,
    );
    using channel = new RpcChannel({ socketPath: address, namespace: "ns" });
    const client = new SnapshotsClient(channel, "soci");
    const prepare = snapshotter.prepare.bind(snapshotter);
    const during: number[] = [];
    snapshotter.prepare = (...of) => {
      during.push(calls.count);
      return prepare(...of);
    };
    const idle = calls.count;
    await client.has("k");
    assert.equal(calls.count, idle); // a look is none
    await client.prepare("k", "");
    const once = calls.count;
    assert(once > idle);
    await assert.rejects(client.prepare("k", ""), hasCode("ALREADY_EXISTS"));
    assert(calls.count > once);
    assert.deepEqual(during, [NaN, NaN]);
  }));

Deno.test("times are exact to the nanosecond: they lie between those of the caller's clock, and survive a restart", async () => {
  const root = await Deno.makeTempDir({ prefix: "soci-deno-times-" });
  const nanoseconds = ({ ms, ns }: { ms: number; ns: number }) =>
    BigInt(ms) * 1_000_000n + BigInt(ns);
  const open = () => Snapshotter.open({ root, provider: NO_LAYERS });
  const wire = async (snapshotter: Snapshotter, name: string) => {
    const address = `${root}/s.sock`;
    await using _service = await serveAt(address, snapshotter);
    using channel = new RpcChannel({ socketPath: address });
    const { method } = snapshotsApi.Snapshots;
    const { info } = await channel.unary(method.stat, { key: name });
    const { createdAt, updatedAt } = info!;
    const of = ({ seconds, nanos }: { seconds: bigint; nanos: number }) =>
      seconds * 1_000_000_000n + BigInt(nanos);
    return { created: of(createdAt!), updated: of(updatedAt!) };
  };
  let before;
  {
    await using snapshotter = await open();
    const start = nanoseconds(momentNow());
    await snapshotter.prepare({ key: "k", parent: "" });
    await snapshotter.commit({ name: "one", key: "k" });
    const end = nanoseconds(momentNow());
    const made = await wire(snapshotter, "one");
    assert.ok(start < made.created && made.created < end);
    // Both within one millisecond, mostly.
    snapshotter.update("one", { a: "1" }, []);
    const first = nanoseconds(snapshotter.stat("one").updatedAt);
    snapshotter.update("one", { a: "2" }, []);
    before = await wire(snapshotter, "one");
    assert.ok(end < first && first < before.updated);
    assert.equal(before.created, made.created);
  }
  await using again = await open();
  assert.deepEqual(await wire(again, "one"), before);
  await Deno.remove(root, { recursive: true });
});

Deno.test("a change is answered when it would survive a power loss, not before", () =>
  withService(async (client, _address, snapshotter) => {
    const onDisk = snapshotter.onDisk.bind(snapshotter);
    let changed = 0;
    let synced = 0;
    snapshotter.onDisk = async () => {
      const before = ++changed;
      await new Promise((resolve) => setTimeout(resolve, 20));
      await onDisk();
      synced = before;
    };
    const changes = [
      () => client.prepare("k", ""),
      () => assert.rejects(client.prepare("k", "")),
      () => client.commit("one", "k"),
      () => client.updateLabels("one", { a: "1" }),
      () => client.view("v", "one"),
    ];
    for (const [at, change] of changes.entries()) {
      await change();
      assert.equal(synced, at + 1);
    }
  }));

Deno.test("a long list arrives whole, filtered", () =>
  withService(async (client, _address, snapshotter) => {
    for (let i = 0; i < 250; i++) {
      await snapshotter.view({
        key: `v${i}`,
        parent: "",
        labels: i % 2 ? { odd: "1" } : {},
      });
    }
    const names = async (filters: string[]) => {
      const found: string[] = [];
      for await (const { name } of client.list(filters)) found.push(name);
      return found;
    };
    assert.equal((await names([])).length, 250);
    assert.equal((await names(["labels.odd==1"])).length, 125);
    assert.deepEqual(await names(["name==v7", "name==v9"]), ["v7", "v9"]);
    await assert.rejects(names(["name="]), hasCode("INVALID_ARGUMENT"));
  }));

Deno.test("failures carry the status code containerd acts on", () =>
  withService(async (client) => {
    await client.prepare("k", "");
    await assert.rejects(client.prepare("k", ""), hasCode("ALREADY_EXISTS"));
    await assert.rejects(client.stat("nobody"), hasCode("NOT_FOUND"));
    await assert.rejects(client.prepare("x", "k"), hasCode("INVALID_ARGUMENT"));
    await client.commit("one", "k");
    await client.view("v", "one");
    await assert.rejects(client.remove("one"), hasCode("FAILED_PRECONDITION"));
  }));

Deno.test("the provider learns the namespace, and when the caller gives up", async () => {
  const asked = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  let namespace: string | undefined;
  const provider: LayerProvider = {
    ...NO_LAYERS,
    prepareLayer({ labels, signal }) {
      namespace = labels["containerd.io/snapshot/remote/namespace"];
      const { promise, reject } = Promise.withResolvers<null>();
      signal.addEventListener("abort", () => {
        aborted.resolve();
        reject(signal.reason);
      });
      asked.resolve();
      return promise;
    },
  };
  await withService(async (client, _address, snapshotter) => {
    const abort = new AbortController();
    asked.promise.then(() => abort.abort());
    await assert.rejects(
      client.prepare("k", "", {
        labels: { [TARGET_LABEL]: "chain" },
        signal: abort.signal,
      }),
      hasCode("CANCELLED"),
    );
    await aborted.promise;
    assert.equal(namespace, "ns");
    assert.deepEqual(snapshotter.list(), []);
  }, provider);
});

Deno.test("only root may connect, and the socket goes when the service stops", async () => {
  let address = "";
  await withService((_client, path) => {
    address = path;
    const { mode, isSocket } = Deno.statSync(path);
    assert.ok(isSocket);
    assert.equal(mode! & 0o777, 0o600);
    return Promise.resolve();
  });
  assert.throws(() => Deno.statSync(address), Deno.errors.NotFound);
});

Deno.test("a dead daemon's socket is replaced, a living one's is not, nor any other file", () =>
  withSnapshotter(async (snapshotter, root) => {
    const address = `${root}/s.sock`;
    const dead = Deno.listen({ transport: "unix", path: `${root}/t.sock` });
    Deno.renameSync(`${root}/t.sock`, address); // its owner cannot remove it any more
    dead.close();
    {
      await using _service = await serveAt(address, snapshotter);
      await assert.rejects(
        serveAt(address, snapshotter),
        { name: "SnapshotterSetupError" },
      );
    }
    Deno.writeTextFileSync(address, "a file");
    await assert.rejects(
      serveAt(address, snapshotter),
      { name: "SnapshotterSetupError" },
    );
    assert.equal(Deno.readTextFileSync(address), "a file");
  }));

Deno.test("the socket is made in a private folder of a known name, also where a killed daemon left one, and nothing stays", () =>
  withSnapshotter(async (snapshotter, root) => {
    const address = `${root}/new/s.sock`;
    const folder = bindingFolder(address);
    Deno.mkdirSync(folder, { recursive: true, mode: 0o777 });
    Deno.symlinkSync(root, `${folder}/s`);
    await using _service = await serveAt(address, snapshotter);
    assert.deepEqual(
      [...Deno.readDirSync(`${root}/new`)].map(({ name }) => name),
      ["s.sock"],
    );
    Deno.symlinkSync(root, folder); // as a user could who may write there
    await using _again = await serveAt(address, snapshotter, "replace");
    assert.throws(() => Deno.lstatSync(folder), Deno.errors.NotFound);
    assert.ok(Deno.statSync(root).isDirectory);
  }));

Deno.test("calls that come while the daemon starts wait for it, or may be tried again when it does not", () =>
  withSnapshotter(async (snapshotter, root) => {
    const ended: string[] = [];
    for (const outcome of ["starts", "fails"] as const) {
      const ready = Promise.withResolvers<Snapshotter>();
      const address = `${root}/${outcome}.sock`;
      await using _service = await serveAt(address, ready.promise);
      using channel = new RpcChannel({ socketPath: address, namespace: "ns" });
      const client = new SnapshotsClient(channel, "soci");
      const call = client.prepare(outcome, "").finally(() =>
        ended.push(outcome)
      );
      await new Promise((wake) => setTimeout(wake, 100));
      assert.ok(!ended.includes(outcome));
      if (outcome === "starts") {
        ready.resolve(snapshotter);
        assert.equal((await call).length, 1);
      } else {
        ready.reject(new Error("no disk"));
        await assert.rejects(call, hasCode("UNAVAILABLE"));
      }
    }
  }));

Deno.test("a service that closes has answered the calls that ran, or cut them when their time is over", async () => {
  for (const graceMs of [60_000, 50]) {
    const asked = Promise.withResolvers<void>();
    const found = Promise.withResolvers<null>();
    const provider: LayerProvider = {
      ...NO_LAYERS,
      prepareLayer() {
        asked.resolve();
        return found.promise;
      },
    };
    await withSnapshotter(async (snapshotter, root) => {
      const address = `${root}/s.sock`;
      await using service = await serveAt(address, snapshotter);
      using channel = new RpcChannel({ socketPath: address, namespace: "ns" });
      const call = new SnapshotsClient(channel, "soci")
        .prepare("k", "", { labels: { [TARGET_LABEL]: "chain" } });
      const outcome = call.then(() => "answered", () => "cut");
      await asked.promise;
      const closed = service.close({ graceMs }).then(() => "closed");
      if (graceMs < 1000) {
        await closed;
        found.resolve(null);
        assert.equal(await outcome, "cut");
        return;
      }
      const wait = new Promise((wake) => setTimeout(wake, 200, "still open"));
      assert.equal(await Promise.race([closed, wait]), "still open");
      found.resolve(null);
      assert.equal(await outcome, "answered");
      await closed;
    }, provider);
  }
});

Deno.test("a successor takes the place of a service that lives; who is connected stays, who comes is new", () =>
  withSnapshotter((before, root) =>
    withSnapshotter(async (after) => {
      const address = `${root}/s.sock`;
      const _old = await serveAt(address, before);
      using early = new RpcChannel({ socketPath: address, namespace: "ns" });
      const connected = new SnapshotsClient(early, "soci");
      await connected.prepare("old", "");
      await using _new = await serveAt(address, after, "replace");
      using late = new RpcChannel({ socketPath: address, namespace: "ns" });
      await new SnapshotsClient(late, "soci").prepare("new", "");
      await connected.prepare("still", "");
      assert.deepEqual(before.list().map(({ name }) => name), ["old", "still"]);
      assert.deepEqual(after.list().map(({ name }) => name), ["new"]);
      early.close();
      late.close();
      await _old[Symbol.asyncDispose]();
      assert.ok(Deno.lstatSync(address).isSocket, "the new one's stays");
    })
  ));
