/** What a running container notices when the daemon is killed, restarted or replaced: nothing. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { askTakeover } from "../../lib/host/handover/mod.ts";
import { leftovers, pause, sociDenoWith, tryRun } from "../support/host/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { checkedDuring, hostWithImage, readsRight } from "./checked_host.ts";
import { sociDeno } from "./host.ts";

/** The daemon's hand-over state, as far as it is spoiled here. */
interface State {
  mounts: { negotiated: { flags2: number } }[];
  holder: { pid: number };
}

Deno.test("a container that reads all the while does not notice that the daemon is killed and started again", async () => {
  await using registry = startRegistry();
  const { host, image } = await hostWithImage(registry);
  await using _host = host;
  await checkedDuring({ host, image }, 9, async () => {
    for (let times = 0; times < 4; times++) {
      await host.killDaemon();
      await host.startDaemon();
      await pause(1000);
    }
  });
  assert.equal(host.logs().match(/mounts taken over/g)?.length, 4);
});

Deno.test("nor that it is stopped with SIGTERM and started again", async () => {
  await using registry = startRegistry();
  const { host, image } = await hostWithImage(registry);
  await using _host = host;
  await checkedDuring({ host, image }, 10, async () => {
    for (let times = 0; times < 3; times++) {
      await host.stopDaemon();
      await host.startDaemon();
      await pause(500);
    }
  });
});

Deno.test("nor that another daemon takes over, also for containerd", async () => {
  await using registry = startRegistry();
  const { host, image } = await hostWithImage(registry);
  await using _host = host;
  await checkedDuring({ host, image }, 9, async () => {
    let listings = 0;
    let going = true;
    const asking = (async () => {
      while (going) {
        await host.containerd.ctr("snapshots", "--snapshotter", "soci", "ls");
        listings++;
      }
    })();
    for (let times = 0; times < 3; times++) await host.takeOver();
    going = false;
    await asking;
    assert.ok(listings > 10, `${listings} calls`);
  });
});

/** The daemon's own mounts; those of layers shown by EROFS come on top. */
const fuseMounts = (folder: string) =>
  leftovers(`${folder}/root`).mounts.filter((path) => /\/fs\/[nx]$/.test(path));

Deno.test("five restarts leave as many mounts, layers and descriptors as before, and SIGINT none", async () => {
  await using registry = startRegistry();
  let folder: string;
  {
    const { host } = await hostWithImage(registry);
    await using _host = host;
    folder = host.folder;
    const count = () => ({
      mounts: leftovers(`${folder}/root`).mounts.length,
      layers: [...Deno.readDirSync(`${folder}/root/layers`)].length,
    });
    /** What open descriptors lead to. */
    const opened = () =>
      [...Deno.readDirSync(`/proc/${host.pid}/fd`)].flatMap(({ name }) => {
        try {
          return [Deno.readLinkSync(`/proc/${host.pid}/fd/${name}`)];
        } catch {
          return []; // closed meanwhile
        }
      }).sort();
    /** The fewest of some seconds: connections and background work come and go. */
    const descriptors = async (goal = 0) => {
      let fewest = opened();
      for (let times = 0; times < (goal > 0 ? 400 : 40); times++) {
        const now = opened();
        if (now.length < fewest.length) fewest = now;
        if (fewest.length <= goal) break;
        await pause(50);
      }
      return fewest;
    };
    await host.stopDaemon();
    await host.startDaemon();
    await host.reconnected(); // its connection counts, before and after
    const before = count();
    assert.equal(fuseMounts(folder).length, 2);
    const descriptorsBefore = await descriptors();
    for (let times = 0; times < 5; times++) {
      await (times % 2 === 0 ? host.killDaemon() : host.stopDaemon());
      await host.startDaemon();
    }
    await host.reconnected();
    assert.deepEqual(count(), before);
    // A Worker that has been needed in one life and not in the other has some; five restarts would leak five.
    const most = descriptorsBefore.length + 4;
    const descriptorsAfter = await descriptors(most);
    assert.ok(
      descriptorsAfter.length <= most,
      `${descriptorsBefore.join(" ")}\nthen ${descriptorsAfter.join(" ")}`,
    );
  }
  assert.deepEqual(leftovers(folder), {
    mounts: [],
    processes: [],
    sockets: [],
  });
});

Deno.test("a release that does not know the state's schema says so and leaves the running daemon alone", async () => {
  await using registry = startRegistry();
  const { host, image } = await hostWithImage(registry);
  await using _host = host;
  const { pid } = host;
  for (
    const [path, known] of [["slots.db", 3], ["snapshotter/metadata.db", 2]]
  ) {
    const database = new DatabaseSync(`${host.folder}/root/${path}`);
    database.exec("PRAGMA user_version = 99");
    const { code, stderr } = await sociDeno(
      ...["serve", "--takeover", "--root", `${host.folder}/root`],
      ...["--address", `${host.folder}/soci.sock`],
    );
    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(
        `${path}: written by a newer release .*99.*knows ${known}.*soci-deno adopt --back`,
      ),
    );
    database.exec(`PRAGMA user_version = ${known}`);
    database.close();
  }
  assert.equal(host.pid, pid);
  assert.ok(await readsRight(host, image));
  assert.doesNotMatch(host.logs(), /a successor takes over/);
});

Deno.test("mounts that cannot be taken over are made anew, and the log says why", async () => {
  await using registry = startRegistry();
  const { host, image } = await hostWithImage(registry);
  await using _host = host;
  const path = `${host.folder}/root/handover.json`;
  const ways: [RegExp, (state: State) => unknown][] = [
    [
      /has schema 99, this release knows 1/,
      (state) => ({ ...state, schema: 99 }),
    ],
    [/kernel cannot ask again/, (state) => {
      for (const { negotiated } of state.mounts) negotiated.flags2 = 0;
      return { ...state, checksum: undefined };
    }],
    [/torn: its checksum is another one/, (state) => {
      for (const { negotiated } of state.mounts) negotiated.flags2 ^= 1;
      return state;
    }],
    [/the holder, process \d+, is gone/, (state) => {
      Deno.kill(state.holder.pid, "SIGKILL");
      return state;
    }],
  ];
  for (const [why, spoil] of ways) {
    await host.killDaemon();
    const state: State = JSON.parse(Deno.readTextFileSync(path));
    const spoiled = spoil(structuredClone(state));
    Deno.writeTextFileSync(path, JSON.stringify(spoiled));
    await host.startDaemon();
    const line = host.logs().split("\n").findLast((text) =>
      text.includes("mounts cannot be taken over")
    );
    assert.match(line ?? "", why);
    await host.reconnected();
    assert.ok(await readsRight(host, image));
    assert.equal(fuseMounts(host.folder).length, 2);
    assert.throws(
      () => Deno.kill(state.holder.pid, "SIGCONT"),
      Deno.errors.NotFound,
      "the old holder is gone",
    );
  }
});

Deno.test("when a successor dies half-way, the daemon it asked goes on in the same process", async () => {
  await using registry = startRegistry();
  const { host, image } = await hostWithImage(registry);
  await using _host = host;
  const { pid } = host;
  await checkedDuring({ host, image }, 8, async () => {
    const successor = await askTakeover(`${host.folder}/root/control.sock`);
    assert.equal(successor?.pid, pid);
    await successor.quiet();
    await pause(500);
    successor[Symbol.dispose](); // as if it had died
    for (let tries = 0; tries < 100; tries++) {
      if (host.logs().split('"serving"').length === 3) break;
      await pause(50);
    }
  });
  assert.match(host.logs(), /the successor failed, going on/);
  assert.equal(host.logs().match(new RegExp(`"pid":${pid}`, "g"))?.length, 2);
  await host.reconnected();
  assert.ok(await readsRight(host, image));
  await host.takeOver(); // the next one is served as well
  await host.reconnected();
  assert.ok(await readsRight(host, image));
});

/** Preloaded into a daemon that cannot open the state. */
const UNABLE = new URL("./faults/unable.ts", import.meta.url).pathname;

Deno.test("a successor that cannot open the state ends with an error, and its predecessor serves on with all it had", async () => {
  await using registry = startRegistry();
  const { host, image } = await hostWithImage(registry);
  await using _host = host;
  const { pid } = host;
  const before = fuseMounts(host.folder);
  await checkedDuring({ host, image }, 9, async () => {
    const { program, args } = sociDenoWith(
      // It looks and finds nothing wrong: so it fails after its predecessor became quiet.
      ["--preload", UNABLE],
      ...["serve", "--takeover", "--root", host.root],
      ...["--address", `${host.folder}/soci.sock`],
      ...["--config", `${host.folder}/config.toml`],
    );
    const failed = await tryRun(program, args, { timeoutMs: 60_000 });
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /the state cannot be opened/);
    for (let tries = 0; tries < 100; tries++) {
      if (host.logs().split('"serving"').length === 3) break;
      await pause(50);
    }
  });
  assert.match(host.logs(), /the successor failed, going on/);
  assert.equal(host.pid, pid);
  assert.deepEqual(fuseMounts(host.folder), before);
  const status = await sociDeno("status", "--json", "--root", host.root);
  const { upSeconds } = JSON.parse(status.stdout);
  assert.ok(upSeconds > 9, `${upSeconds} s: another program runs`);
  await host.reconnected();
  assert.ok(await readsRight(host, image));
});

Deno.test("stop takes away what a killed daemon left, and whoever waits gets an error at once", async () => {
  await using registry = startRegistry();
  const { host } = await hostWithImage(registry);
  await using _host = host;
  await host.killDaemon();
  const mount = `${host.folder}/root/fs/n`;
  const waiting = new Deno.Command("timeout", {
    args: ["20", "ls", mount],
    stdout: "null",
    stderr: "piped",
  }).output();
  await pause(500);
  const { code, stdout } = await sociDeno(
    ...["stop", "--root", `${host.folder}/root`],
  );
  assert.equal(code, 0);
  assert.match(stdout, /no daemon runs/);
  const { code: waited } = await waiting;
  assert.equal(waited, 2, "ls failed, it was not killed by the timeout");
  assert.deepEqual(leftovers(`${host.folder}/root`).mounts, []);
});
