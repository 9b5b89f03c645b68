/** The index that an image without one gets in passing: pushed by the node that takes it whole, used by the next one. */
import assert from "node:assert/strict";
import { ctrRun, pause } from "../support/host/mod.ts";
import { erofsRefusal } from "../support/erofs/mod.ts";
import {
  addBusybox,
  type Image,
  incompressible,
  layerBlob,
  makeImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { buildIndexIn, LazyHost } from "./host.ts";

const PUSHING = `
[http]
MaxRetries = 1
[eager]
unindexed = ["**"]
index_missing = "push"
`;
/** As large as the least layer that an index names. */
const LAYER_BYTES = 11 * 2 ** 20;
const PASSWORD = "not-for-the-log";
const refusal = await erofsRefusal();

const outcomes = ({ layers }: { layers: { outcome: string }[] }) => [
  ...new Set(layers.map(({ outcome }) => outcome)),
];

/** Requests that write. */
const writes = ({ requests }: TestRegistry, repository: string) =>
  requests.filter(({ method, path }) =>
    !["GET", "HEAD"].includes(method) && path.includes(`/${repository}/`)
  );

/** Digests of the manifests that were put. */
const manifestsPut = (registry: TestRegistry, repository: string) =>
  new Set(
    writes(registry, repository).map(({ method, path }) =>
      method === "PUT" && /\/manifests\/(sha256:.*)$/.exec(path)?.[1]
    ).filter((digest) => typeof digest === "string").sort(),
  );

/** Lines of a log that say something of an image. */
const lines = (host: LazyHost, image: string, what: RegExp) =>
  host.logs().split("\n").filter((line) =>
    line.includes(image) && what.test(line)
  );

async function said(host: LazyHost, image: string, what: RegExp) {
  for (let tries = 0; lines(host, image, what).length === 0; tries++) {
    assert.ok(tries < 600, `${image}: ${what} is said\n${host.logs()}`);
    await pause(100);
  }
}

/** Puts an image where nobody needs a login to read it. */
function addImage(registry: TestRegistry, repository: string, image: Image) {
  registry.addBlob(repository, image.config);
  for (const { bytes } of image.layers) registry.addBlob(repository, bytes);
  registry.addManifest(repository, image.manifest, {
    mediaType: image.mediaType,
    tag: "1",
  });
}

testUnless(refusal, {
  name:
    "the node that takes an image whole pushes its index, and the next node is lazy by it; a registry that refuses, or has one, or for which another login is here by then, is left alone",
  async fn() {
    const login = { username: "node", password: PASSWORD };
    const auth = { kind: "bearer", ...login, anonymousPull: true } as const;
    await using registry = startRegistry({ auth });
    await using stranger = startRegistry({ auth });
    const busybox = layerBlob(addBusybox(new TarBuilder()));
    const data = [1, 2, 3, 4].map((seed) => incompressible(LAYER_BYTES, seed));
    // No two have a chain in common: containerd would have it from the first.
    const layers = data.map((bytes) =>
      layerBlob(new TarBuilder().file("data", bytes))
    );
    const images = layers.map((layer) =>
      makeImage({ layers: [layer, busybox] })
    );
    addImage(registry, "app", images[0]!);
    addImage(registry, "indexed", images[1]!);
    addImage(stranger, "app", images[2]!);
    addImage(registry, "changed", images[3]!);
    addImage(registry, "twin", images[0]!);
    const docker = await Deno.makeTempDir({ prefix: "soci-deno-docker-" });
    const logIn = (username: string) =>
      Deno.writeTextFile(
        `${docker}/config.json`,
        JSON.stringify({
          auths: { [registry.host]: { auth: btoa(`${username}:${PASSWORD}`) } },
        }),
      );
    await logIn(login.username);
    const env = { DOCKER_CONFIG: docker };
    const pushed = `${registry.host}/app:1`;
    const indexed = `${registry.host}/indexed:1`;
    const refused = `${stranger.host}/app:1`;
    await buildIndexIn(env, indexed);
    await buildIndexIn(env, `${registry.host}/twin:1`);
    const built = manifestsPut(registry, "twin");
    await using first = await LazyHost.start({
      config: PUSHING,
      daemon: { env },
    });
    await using other = await LazyHost.start({
      config: PUSHING,
      daemon: { env },
    });
    registry.requests.length = 0;
    // Both push five seconds later: at the same moment, or one finds what the other has pushed.
    const [, also] = await Promise.all([
      first.pull(pushed),
      other.pull(pushed),
    ]);
    assert.deepEqual(outcomes(also), ["served"]);
    for (const one of [pushed, indexed, refused]) {
      assert.deepEqual(
        outcomes(await first.pull(one)),
        [one === pushed ? "present" : "served"],
      );
    }
    await using second = await LazyHost.start(); // v1 is on there
    await said(first, indexed, /has an index by now/);
    await said(first, refused, /index is not pushed/);
    const ENDS = /index was pushed|another node was first|has an index by now/;
    for (const node of [first, other]) await said(node, pushed, ENDS);
    assert.deepEqual(lines(other, pushed, /"level":"(warn|error)"/i), []);
    // The index and its companion, and not another byte than `build-index` makes.
    assert.equal(built.size, 2);
    assert.deepEqual(manifestsPut(registry, "app"), built);
    assert.deepEqual(writes(registry, "indexed"), []);
    assert.equal(lines(first, refused, /"level":"(warn|error)"/i).length, 1);
    const secrets = [PASSWORD, btoa(`${login.username}:${PASSWORD}`)];
    assert.ok(secrets.every((secret) => !first.logs().includes(secret)));

    // Between the pull and the push somebody else has logged in.
    const changed = `${registry.host}/changed:1`;
    assert.deepEqual(outcomes(await first.pull(changed)), ["served"]);
    await logIn("somebody-else");
    await said(first, changed, /the credentials are others by now/);
    assert.deepEqual(writes(registry, "changed"), []);

    registry.requests.length = 0;
    assert.deepEqual(outcomes(await second.pull(pushed)), ["served"]);
    const { stdout, stderr } = await ctrRun(second.containerd, {
      image: pushed,
      id: "second",
      snapshotter: "soci",
      args: ["/bin/sh", "-c", "head -c 1000000 /data | sha256sum"],
    });
    const right = sha256(data[0]!.subarray(0, 1_000_000)).slice(7);
    assert.ok(stdout.includes(right), `${stdout}${stderr}`);
    const came = registry.requests
      .filter(({ path }) => path.endsWith(layers[0]!.digest))
      .reduce((sum, { bytes }) => sum + bytes, 0);
    assert.ok(came > 0 && came < LAYER_BYTES / 2, `${came} bytes came`);
    assert.deepEqual(lines(second, pushed, /taken whole/), []);
    await Deno.remove(docker, { recursive: true });
  },
});
