import assert from "node:assert/strict";
import {
  ctrPull,
  ctrRun,
  leftovers,
  makeCertificateAuthority,
  startContainerd,
  startDockerRegistry,
} from "../../support/host/mod.ts";
import { programImage, pushImage } from "../../support/images/mod.ts";
import {
  nameLoopback,
  sociPeer,
  startSociPeer,
  testOnDebian,
} from "../../support/peer/mod.ts";

testOnDebian(
  "the existing SOCI tools index, push, pull lazily and run",
  async () => {
    const peer = await sociPeer();
    assert.ok("soci" in peer, JSON.stringify(peer));
    await using authority = await makeCertificateAuthority();
    const name = "lazy.soci-deno.test";
    using _name = nameLoopback(name);
    await using registry = await startDockerRegistry({
      tls: await authority.issue(["127.0.0.1", name]),
    });
    await pushImage(registry.host, "program:1", programImage(), {
      scheme: "https",
      caCerts: [authority.certPem],
    });
    const trust = { caFile: authority.certPath };
    const image = `${name}:${registry.port}/program:1`;
    {
      await using daemon = await startSociPeer(peer, trust);
      await using containerd = await startContainerd();
      await ctrPull(containerd, image, { caPath: authority.certPath });
      await daemon.soci(containerd, "create", "--min-layer-size", "0", image);
      await daemon.soci(containerd, "push", image);
    }
    let folder: string;
    {
      await using daemon = await startSociPeer(peer, trust);
      folder = daemon.folder;
      await using containerd = await startContainerd({
        proxySnapshotters: [{ name: "soci", address: daemon.address }],
      });
      await daemon.soci(containerd, "image", "rpull", image);
      assert.equal(
        Deno.readTextFileSync("/proc/mounts").split("\n")
          .filter((line) => line.includes(folder)).length,
        4,
      );
      const ran = await ctrRun(containerd, {
        image,
        id: "lazy",
        snapshotter: "soci",
      });
      assert.equal(ran.stdout, '{"sum": 5050, "version": 3}\n');
    }
    assert.deepEqual(leftovers(folder), {
      mounts: [],
      processes: [],
      sockets: [],
    });
  },
);

Deno.test("a name given to the loopback is taken back", () => {
  const before = Deno.readTextFileSync("/etc/hosts");
  {
    // A name of its own: a test that was killed may have left another.
    const name = `taken-back-${Deno.pid}.soci-deno.test`;
    using _name = nameLoopback(name);
    const hosts = Deno.readTextFileSync("/etc/hosts").split("\n");
    assert.ok(hosts.some((line) => line.startsWith(`127.0.0.1 ${name}`)));
  }
  assert.equal(Deno.readTextFileSync("/etc/hosts"), before);
});
