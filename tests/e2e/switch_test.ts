import assert from "node:assert/strict";
import {
  nameLoopback,
  sociPeer,
  startSociPeer,
  testOnDebian,
} from "../support/peer/mod.ts";
import {
  ctrRun,
  makeCertificateAuthority,
  sociDenoWith,
  startContainerd,
  startDockerRegistry,
  startService,
  unixSocketAnswers,
} from "../support/host/mod.ts";
import { programImage, pushImage } from "../support/images/mod.ts";
import { buildIndex, sociDeno } from "./host.ts";

const OUTPUT = '{"sum": 5050, "version": 3}\n';

testOnDebian(
  "a host changes from the existing daemon to soci-deno on that daemon's own root and snapshots, and back",
  async () => {
    const peer = await sociPeer();
    assert.ok("soci" in peer, JSON.stringify(peer));
    await using stack = new AsyncDisposableStack();
    const authority = stack.use(await makeCertificateAuthority());
    const caFile = authority.certPath;
    stack.use(nameLoopback("switch.soci-deno.test"));
    const registry = stack.use(
      await startDockerRegistry({
        tls: await authority.issue(["127.0.0.1", "switch.soci-deno.test"]),
      }),
    );
    await pushImage(registry.host, "program:1", programImage(), {
      scheme: "https",
      caCerts: [authority.certPem],
    });
    const image = `switch.soci-deno.test:${registry.port}/program:1`;
    await buildIndex("--min-layer-size", "0", "--tlscacert", caFile, image);

    const existing = await startSociPeer(peer, { caFile });
    stack.defer(() => existing.close());
    const { folder, address } = existing;
    const root = `${folder}/root`;
    const containerd = stack.use(
      await startContainerd({ proxySnapshotters: [{ name: "soci", address }] }),
    );
    const adopt = (...flags: string[]) =>
      sociDeno(
        ...["adopt", "--root", root, "--address", containerd.address],
        ...flags,
      );
    const run = async (id: string) => {
      const ran = await ctrRun(containerd, { image, id, snapshotter: "soci" });
      assert.equal(ran.stdout, OUTPUT, ran.stderr);
    };
    await existing.soci(containerd, "image", "rpull", image);
    await run("before");
    const table = `${root}/snapshotter/metadata.db`;

    const running = await adopt();
    assert.equal(running.code, 1);
    assert.match(running.stderr, /the existing daemon runs .*: stop it first/);
    await existing.stop();
    const bytes = await Deno.readFile(table);

    // Its state is recognised, and nothing of it is changed.
    const refused = await sociDeno(
      ...["serve", "--root", root, "--address", `${folder}/ours.sock`],
      ...["--log-format", "text"],
    );
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(
      refused.stderr,
      /metadata\.db: holds the snapshots of the existing SOCI daemon.*soci-deno adopt/,
    );
    assert.deepEqual(await Deno.readFile(table), bytes);

    const shown = await adopt();
    assert.equal(shown.code, 0, shown.stderr);
    assert.match(shown.stdout, /holds 4 snapshots of the existing daemon/);
    assert.match(
      shown.stdout,
      /namespace default: 4 snapshots of layers, 0 of containers/,
    );
    assert.ok(shown.stdout.includes(`image ${image}\n`), shown.stdout);
    assert.match(shown.stdout, /Nothing was changed/);
    assert.deepEqual(await Deno.readFile(table), bytes);
    assert.match(await containerd.ctr("images", "ls", "-q"), /program:1/);

    const done = await adopt("--yes");
    assert.equal(done.code, 0, done.stderr);
    const [, aside] = /^Done\. Put aside in (.*)$/m.exec(done.stdout) ?? [];
    assert.deepEqual(
      await Deno.readFile(`${aside}/snapshotter/metadata.db`),
      bytes,
      "what was there is kept",
    );
    assert.equal((await containerd.ctr("images", "ls", "-q")).trim(), "");
    assert.match((await adopt("--yes")).stdout, /no daemon has snapshots/);

    const pull = async () => {
      const { code, stdout, stderr } = await sociDeno(
        ...["pull", "--json", "--address", containerd.address],
        ...["--root", root, "--tlscacert", caFile, image],
      );
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout).layers.map(
        ({ outcome }: { outcome: string }) => outcome,
      );
    };
    {
      await Deno.writeTextFile(
        `${folder}/ours.toml`,
        "[pull_modes.soci_v1]\nenable = true\n",
      );
      const { program, args } = sociDenoWith(
        [],
        ...["serve", "--root", root, "--address", address],
        ...["--config", `${folder}/ours.toml`, "--tlscacert", caFile],
      );
      await using ours = await startService({
        program,
        args,
        logFile: `${folder}/ours.log`,
        ready: () => unixSocketAnswers(address),
        readyTimeoutMs: 60_000,
      });
      await containerd.restart();
      assert.deepEqual(await pull(), Array(4).fill("served"), ours.logs());
      await run("ours");
      const early = await adopt("--back");
      assert.match(early.stderr, /the daemon runs .*`soci-deno stop` first/);
      assert.equal((await sociDeno("stop", "--root", root)).code, 0);
    }
    const theirs = await sociDeno("adopt", "--root", root);
    assert.match(theirs.stdout, /are soci-deno's already/);
    const back = await adopt("--back", "--yes");
    assert.equal(back.code, 0, back.stderr);
    assert.match(back.stdout, /holds \d+ snapshots of soci-deno/);
    await existing.start();
    await containerd.restart(); // it dials a snapshotter that was away only now and then
    await existing.soci(containerd, "image", "rpull", image);
    await run("back");
    assert.doesNotMatch(existing.logs(), /"level":"(error|fatal)"/);
  },
);
