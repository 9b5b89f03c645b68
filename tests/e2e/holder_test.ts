/** The process that holds the mounts' descriptors, when it is killed or forgotten; hangups; upgrades. */
import assert from "node:assert/strict";
import { askTakeover } from "../../lib/host/handover/mod.ts";
import { listMounts } from "../../lib/host/mounting/mod.ts";
import { pause, processesNaming, tryRun } from "../support/host/mod.ts";
import { pauseImage, pushImage } from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { checkedDuring, hostWithImage, readsRight } from "./checked_host.ts";
import {
  isRpcError,
  RpcChannel,
  SnapshotsClient,
} from "../../lib/remote/containerd/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

const holderOf = (host: LazyHost): number =>
  JSON.parse(Deno.readTextFileSync(`${host.root}/handover.json`)).holder.pid;

const lives = (pid: number) => {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return !/\) [ZX] /.test(stat);
  } catch {
    return false;
  }
};

/** Polls for at most 10 s. */
async function until(met: () => boolean, what: () => string): Promise<void> {
  for (let tries = 0; !met(); tries++) {
    if (tries === 200) assert.fail(what());
    await pause(50);
  }
}

Deno.test("a holder that is killed alone is replaced at once: a crash afterwards goes unnoticed, and so does a takeover", async () => {
  await using registry = startRegistry();
  const { host, image } = await hostWithImage(registry);
  await using _host = host;
  await checkedDuring({ host, image }, 10, async () => {
    for (const next of ["crash", "takeover"] as const) {
      const before = holderOf(host);
      Deno.kill(before, "SIGKILL");
      const at = performance.now();
      await until(
        () => holderOf(host) !== before && lives(holderOf(host)),
        () => host.logs(),
      );
      console.log(
        `    replaced after ${Math.round(performance.now() - at)} ms`,
      );
      if (next === "takeover") await host.takeOver();
      else {
        await host.killDaemon();
        await host.startDaemon();
      }
    }
    // The successor watches over a holder that is no child of its own, too.
    const before = holderOf(host);
    Deno.kill(before, "SIGKILL");
    await until(() => holderOf(host) !== before, () => host.logs());
    await host.killDaemon();
    await host.startDaemon();
  });
  assert.equal(host.logs().match(/mounts taken over/g)?.length, 3);
  assert.doesNotMatch(host.logs(), /mounting anew/);
  assert.equal(
    host.logs().match(/the holder process was killed/g)?.length,
    3,
  );
});

Deno.test("a holder ends when the state it is named in, or the whole root, is gone", async () => {
  await using registry = startRegistry();
  for (const way of ["state", "root"] as const) {
    const { host } = await hostWithImage(registry);
    await using _host = host;
    const holder = holderOf(host);
    await host.killDaemon();
    assert.ok(lives(holder));
    for (const { mountpoint } of listMounts().toReversed()) {
      if (way === "root" && mountpoint.startsWith(`${host.root}/`)) {
        await tryRun("umount", ["-l", mountpoint], { timeoutMs: 10_000 });
      }
    }
    await Deno.remove(
      way === "state" ? `${host.root}/handover.json` : host.root,
      { recursive: true },
    );
    await until(() => !lives(holder), () => `${holder} lives on`);
    if (way === "root") continue;
    await host.startDaemon();
    assert.match(
      host.logs(),
      /mounts cannot be taken over, mounting anew.*handover\.json is missing/,
    );
  }
});

Deno.test("a call that comes while no daemon runs is answered by the next one, however the last one ended, until stop says that none will come", async () => {
  await using host = await LazyHost.start();
  for (const end of ["killed", "terminated", "stopped"] as const) {
    if (end === "terminated") await host.stopDaemon();
    else await host.killDaemon();
    using channel = new RpcChannel({ socketPath: host.socket, namespace: "k" });
    const client = new SnapshotsClient(channel, "soci");
    let answered = false;
    const call = client.stat("none").finally(() => answered = true);
    call.catch(() => {});
    await pause(300);
    assert.ok(!answered, end);
    if (end === "stopped") {
      const { code, stderr } = await sociDeno("stop", "--root", host.root);
      assert.equal(code, 0, stderr);
    } else {
      await host.startDaemon();
      assert.doesNotMatch(host.logs(), /mounting anew/);
    }
    const wanted = end === "stopped" ? "UNAVAILABLE" : "NOT_FOUND";
    await assert.rejects(call, (error) => isRpcError(error, wanted));
  }
  await assert.rejects(
    Deno.connect({ transport: "unix", path: host.socket }),
  );
  await host.startDaemon(); // what stop left is no obstacle
});

Deno.test("SIGHUP reloads what can be reloaded, says what cannot, and never ends the daemon", async () => {
  await using registry = startRegistry();
  const { host, image } = await hostWithImage(registry);
  await using _host = host;
  const { pid } = host;
  const file = `${host.folder}/config.toml`;
  const toml = await Deno.readTextFile(file);
  const hangUp = async (told: RegExp) => {
    const before = host.logs().length;
    Deno.kill(pid, "SIGHUP");
    const after = () => host.logs().slice(before);
    await until(() => told.test(after()), after);
  };
  await hangUp(/nothing to reload has changed/);
  await Deno.writeTextFile(file, `${toml}\n[http]\nMaxRetries = "many"\n`);
  await hangUp(/cannot be used, what held holds on.*http\.maxretries/);
  await Deno.writeTextFile(
    file,
    `mount_timeout_sec = 20\n${
      toml.replace("enable = true", "enable = false")
    }\n[cache]\nmax_bytes = 1000000000\n`,
  );
  await hangUp(/need a restart.*"cache\.max_bytes"/);
  assert.match(
    host.logs(),
    /reloaded.*"mount_timeout_sec","pull_modes\.soci_v1\.enable"/,
  );
  // A folder that the daemon was not started with: it may not read that, says so, and goes on with the others.
  const hosts = `${host.folder}/other-hosts`;
  await Deno.mkdir(hosts);
  const before = host.logs().length;
  await Deno.writeTextFile(
    file,
    `${await Deno.readTextFile(file)}\n[resolver]\nconfig_path = "${hosts}"\n`,
  );
  await hangUp(
    /may read no others: what held holds on until a restart \(serve --takeover\).*"resolver\.config_path"/,
  );
  assert.match(host.logs().slice(before), new RegExp(`"paths":\\["${hosts}"`));
  assert.doesNotMatch(host.logs(), /--allow|deno compile|NotCapable/);
  assert.ok(await readsRight(host, image));
  assert.equal(host.pid, pid);
  assert.ok(lives(pid));
  // An image that has its index as a referrer is not lazy any more.
  await pushImage(registry.host, "later:1", pauseImage());
  await buildIndex("--min-layer-size", "0", `${registry.host}/later:1`);
  const { layers } = await host.pull(`${registry.host}/later:1`);
  assert.ok(layers.every(({ outcome }) => outcome !== "served"));
});

Deno.test("a daemon whose program was replaced by rename starts again, has its mount helper and is upgraded", async () => {
  await using registry = startRegistry();
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-upgrade-" });
  const program = `${folder}/deno`;
  await Deno.copyFile(Deno.execPath(), program);
  const replace = async () => {
    await Deno.copyFile(Deno.execPath(), `${program}.new`);
    await Deno.rename(`${program}.new`, program);
  };
  try {
    const { host, image } = await hostWithImage(registry, { program });
    await using _host = host;
    await replace();
    assert.match(
      Deno.readLinkSync(`/proc/${host.pid}/exe`),
      / \(deleted\)$/,
    );
    // A layer that is new is mounted by a helper, in a process of its own.
    await pushImage(registry.host, "new:1", pauseImage());
    await buildIndex("--min-layer-size", "0", `${registry.host}/new:1`);
    let helpers = 0;
    const looking = setInterval(() => {
      helpers += processesNaming(`mount-helper ${host.pid}`).length;
    }, 10);
    const { layers } = await host.pull(`${registry.host}/new:1`);
    clearInterval(looking);
    assert.deepEqual(layers.map(({ outcome }) => outcome), ["served"]);
    if (host.logs().includes('"face":"erofs"')) assert.ok(helpers > 0);

    await checkedDuring({ host, image }, 8, async () => {
      const starts = () => host.logs().split('"serving"').length;
      const before = starts();
      const successor = await askTakeover(`${host.root}/control.sock`);
      await successor!.quiet();
      successor![Symbol.dispose](); // as if it had died
      await until(() => starts() > before, () => host.logs());
      await host.takeOver();
      await replace();
      await host.killDaemon();
      await host.startDaemon();
    });
    await host.reconnected();
    assert.ok(await readsRight(host, image));
    assert.doesNotMatch(host.logs(), /mounting anew/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
