/** Where the logins of the daemon and of the tools go, and where they are seen. */
import assert from "node:assert/strict";
import {
  RpcChannel,
  SnapshotsClient,
} from "../../lib/remote/containerd/mod.ts";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { askTakeover } from "../../lib/host/handover/mod.ts";
import { ctrRun, pause } from "../support/host/mod.ts";
import { pauseImage, pushImage } from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { LazyHost, sociDeno } from "./host.ts";

const PASSWORD = "correct-horse";

Deno.test("serve refuses a password in its arguments before it does anything, and does not repeat it", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-logins-" });
  for (
    const flags of [
      ["-u", `anna:${PASSWORD}`],
      [`--user=anna:${PASSWORD}`],
      ["--refresh", PASSWORD],
    ]
  ) {
    const { code, stdout, stderr } = await sociDeno(
      ...["serve", "--address", `${folder}/s.sock`],
      ...["--root", `${folder}/root`, ...flags],
    );
    assert.equal(code, 2, stderr);
    assert.match(stderr, /in its arguments.*--password-file/);
    assert.ok(!(stdout + stderr).includes(PASSWORD));
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("the daemon logs in where it is told to and nowhere else, and keeps the password over a takeover that fails", async () => {
  await using registry = startRegistry({
    auth: { kind: "basic", username: "anna", password: PASSWORD },
  });
  const asked: (string | null)[] = [];
  await using stranger = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => {
      asked.push(request.headers.get("authorization"));
      return new Response("", {
        status: 401,
        headers: { "www-authenticate": 'Basic realm="stranger"' },
      });
    },
  );
  const image = pauseImage();
  await pushImage(registry.host, "own:1", image, {
    authorization: `Basic ${btoa(`anna:${PASSWORD}`)}`,
  });
  const login = ["-u", `anna:${PASSWORD}`];
  const name = `${registry.host}/own:1`;
  const built = await sociDeno(
    ...["build-index", ...login, "--min-layer-size", "0", name],
  );
  assert.equal(built.code, 0, built.stderr);

  const file = await Deno.makeTempFile({ prefix: "soci-deno-password-" });
  await Deno.writeTextFile(file, `${PASSWORD}\n`);
  await using host = await LazyHost.start({
    daemon: { prefix: ["sh", "-c", `exec "$@" 7<${file}`, "sh"] },
  });
  await host.stopDaemon();
  await host.startDaemon(
    ...["--user", `${registry.host}=anna`, "--password-fd", "7"],
  );
  await Deno.remove(file);
  // In place of the process another one is started, and nobody gives it the password again.
  const successor = await askTakeover(`${host.root}/control.sock`);
  const starts = () => host.logs().split('"serving"').length;
  const before = starts();
  await successor!.quiet();
  successor![Symbol.dispose]();
  for (let tries = 0; starts() === before; tries++) {
    assert.ok(tries < 200, host.logs());
    await pause(50);
  }
  await host.reconnected();
  const pulled = await sociDeno(
    ...["pull", "--json", "--address", host.containerd.address],
    ...[...login, name],
  );
  assert.equal(pulled.code, 0, pulled.stderr);
  const { layers } = JSON.parse(pulled.stdout);
  assert.deepEqual(
    layers.map(({ outcome }: { outcome: string }) => outcome),
    ["served"],
    host.logs(),
  );
  const { stdout } = await ctrRun(host.containerd, {
    image: name,
    id: `login-${crypto.randomUUID()}`,
    snapshotter: "soci",
    args: ["/bin/sh", "-c", "echo runs"],
  });
  assert.match(stdout, /runs/);

  // An image of a registry that nobody logged in at: it asks, and gets nothing.
  using channel = new RpcChannel({
    socketPath: `${host.folder}/soci.sock`,
    namespace: "default",
  });
  const digest = sha256(new Uint8Array([1]));
  await new SnapshotsClient(channel, "soci").prepare("extract", "", {
    labels: {
      "containerd.io/snapshot.ref": digest,
      "containerd.io/snapshot/cri.image-ref":
        `127.0.0.1:${stranger.addr.port}/own:1`,
      "containerd.io/snapshot/cri.manifest-digest": digest,
      "containerd.io/snapshot/cri.layer-digest": digest,
    },
  });
  assert.ok(asked.length > 0, host.logs());
  assert.ok(asked.every((header) => header === null));

  const seen = Deno.readTextFileSync(`/proc/${host.pid}/cmdline`) +
    host.logs();
  assert.ok(!seen.includes(PASSWORD));
  assert.ok(!seen.includes(btoa(`anna:${PASSWORD}`)));
});
