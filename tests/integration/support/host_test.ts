import assert from "node:assert/strict";
import {
  type Containerd,
  ctrExec,
  ctrPull,
  ctrRun,
  leftovers,
  makeCertificateAuthority,
  pause,
  startContainerd,
  startDockerRegistry,
} from "../../support/host/mod.ts";
import {
  imageIndex,
  makeImage,
  pauseImage,
  PushError,
  pushImage,
} from "../../support/images/mod.ts";

Deno.test("containerd pulls from docker-registry and runs with overlayfs, and nothing stays", async () => {
  await using registry = await startDockerRegistry();
  await pushImage(registry.host, "busybox:1", pauseImage());
  let folder: string;
  {
    await using containerd = await startContainerd();
    folder = containerd.folder;
    const image = `${registry.host}/busybox:1`;
    await ctrPull(containerd, image);
    const said = await ctrRun(containerd, {
      image,
      id: "hello",
      args: ["/bin/sh", "-c", "echo $PATH; exit 3"],
    });
    assert.deepEqual(
      [said.code, said.stdout],
      [3, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"],
    );
    await ctrRun(containerd, { image, id: "stays", flags: ["--detach"] });
    const beside = ["/bin/sh", "-c", "echo here; echo there >&2; exit 5"];
    assert.deepEqual(
      await ctrExec(containerd, "stays", beside),
      { code: 5, stdout: "here\n", stderr: "there\n" },
    );
    assert.match(await containerd.ctr("tasks", "ls"), /stays .*RUNNING/);
    await containerd.restart();
    assert.match(await containerd.ctr("tasks", "ls"), /stays .*RUNNING/);
  }
  assert.deepEqual(leftovers(folder), {
    mounts: [],
    processes: [],
    sockets: [],
  });
});

Deno.test("what a container prints is whole, whenever it is read: ctr drops what it has not passed on when the container ends", async () => {
  await using registry = await startDockerRegistry();
  await pushImage(registry.host, "busybox:1", pauseImage());
  await using containerd = await startContainerd();
  const image = `${registry.host}/busybox:1`;
  await ctrPull(containerd, image);
  const told: string[] = [];
  const lines = "sleep 1; echo wrong >&2; yes line | head -n 30000; exit 4";
  const running = ctrRun(containerd, {
    ...{ image, id: "late", args: ["/bin/sh", "-c", lines] },
    onOutput: (stdout) => told.push(stdout),
  });
  await pause(500);
  // Meanwhile this process reads nothing, and no pipe holds so much.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000);
  const { code, stdout, stderr } = await running;
  assert.equal(stdout, "line\n".repeat(30_000));
  assert.deepEqual([code, stderr], [4, "wrong\n"]);
  assert.equal(told.at(-1), stdout);

  const missing = await ctrRun(containerd, {
    ...{ image, id: "missing", args: ["/no/such/program"] },
  });
  assert.notEqual(missing.code, 0);
  assert.match(missing.stderr, /no such file/);
});

Deno.test("containers of two containerds may have one name: neither ends or hides the other's", async () => {
  await using registry = await startDockerRegistry();
  await pushImage(registry.host, "busybox:1", pauseImage());
  const image = `${registry.host}/busybox:1`;
  await using one = await startContainerd();
  await using other = await startContainerd();
  const say = async (containerd: Containerd, word: string) => {
    await ctrPull(containerd, image);
    const results = [];
    for (let round = 0; round < 4; round++) {
      const args = ["/bin/sh", "-c", `sleep 0.3; echo ${word}`];
      results.push(await ctrRun(containerd, { image, id: "same", args }));
    }
    return results.map(({ code, stdout }) => `${code} ${stdout}`);
  };
  const said = await Promise.all([say(one, "one"), say(other, "other")]);
  assert.deepEqual(said, [
    Array(4).fill("0 one\n"),
    Array(4).fill("0 other\n"),
  ]);
});

Deno.test("docker-registry takes an index over HTTPS from whom it knows", async () => {
  await using authority = await makeCertificateAuthority();
  await using registry = await startDockerRegistry({
    tls: await authority.issue(["127.0.0.1", "registry.test"]),
    users: { alice: "secret" },
  });
  const platforms = ["amd64", "arm64"].map((architecture) =>
    makeImage({ layers: [], platform: { os: "linux", architecture } })
  );
  const index = imageIndex(platforms);
  const caCerts = [authority.certPem];
  await assert.rejects(
    pushImage(registry.host, "multi:1", index, { scheme: "https", caCerts }),
    (error) => error instanceof PushError && error.status === 401,
  );
  const authorization = `Basic ${btoa("alice:secret")}`;
  await pushImage(registry.host, "multi:1", index, {
    scheme: "https",
    caCerts,
    authorization,
  });
  using client = Deno.createHttpClient({ caCerts });
  const response = await fetch(
    `https://${registry.host}/v2/multi/manifests/1`,
    {
      client,
      headers: { authorization, accept: index.mediaType },
    },
  );
  assert.deepEqual(await response.bytes(), index.manifest);
});
