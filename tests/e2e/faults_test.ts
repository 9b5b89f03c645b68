/** What a container and the daemon make of a registry, an index or a ztoc that is not as it should be. */
import assert from "node:assert/strict";
import {
  type Descriptor,
  MEDIA,
  parseDigest,
  parseIndex,
  parseManifest,
} from "../../lib/formats/oci/mod.ts";
import { decodeZtoc, encodeZtoc } from "../../lib/formats/ztoc/mod.ts";
import {
  decodeIndex,
  encodeIndex,
  makeIndex,
  SOCI_MEDIA,
} from "../../lib/formats/soci/mod.ts";
import { ctrRun, pause } from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost } from "./host.ts";

const REPOSITORY = "faulty";
const DATA = incompressible(3 * 2 ** 20);
const SUM = new Uint8Array(
  await crypto.subtle.digest("SHA-256", DATA as BufferSource),
).toHex();
/** Retries come soon: what is waited for is told by the tests. */
const CONFIG = `
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
[blob]
max_read_wait_sec = 5
[http]
MaxRetries = 3
MinWaitMsec = 10
MaxWaitMsec = 100
`;

/** An indexed image with a file of many spans. */
async function indexedImage(
  registry: TestRegistry,
  login?: string,
): Promise<string> {
  const authorization = login === undefined
    ? {}
    : { authorization: await pushToken(registry, login) };
  const tar = addBusybox(new TarBuilder()).dir("data").file("data/file", DATA);
  await pushImage(
    registry.host,
    `${REPOSITORY}:1`,
    makeImage({ layers: [layerBlob(tar)], config: { cmd: ["/bin/sh"] } }),
    authorization,
  );
  const image = `${registry.host}/${REPOSITORY}:1`;
  await buildIndex(
    ...["--min-layer-size", "0", "--span-size", "256KiB"],
    ...(login === undefined ? [] : ["--user", login]),
    image,
  );
  return image;
}

async function pushToken(
  registry: TestRegistry,
  login: string,
): Promise<string> {
  const response = await fetch(
    `${registry.url}/token?scope=repository:${REPOSITORY}:pull,push`,
    { headers: { authorization: `Basic ${btoa(login)}` } },
  );
  return `Bearer ${(await response.json()).token}`;
}

const sum = (host: LazyHost, image: string, id: string) =>
  ctrRun(host.containerd, {
    image,
    id,
    snapshotter: "soci",
    args: ["/bin/busybox", "sha256sum", "/data/file"],
  });

/** Starts a host, pulls, and runs `during` between the pull and the first read. */
async function readUnder(
  during: (registry: TestRegistry) => void,
  login?: string,
) {
  const [username = "", password = ""] = login?.split(":") ?? [];
  await using registry = startRegistry(
    login === undefined ? {} : {
      auth: { kind: "bearer", username, password, anonymousPull: true },
    },
  );
  const image = await indexedImage(registry, login);
  await using host = await LazyHost.start({ config: CONFIG });
  const [layer] = (await host.pull(image)).layers;
  assert.equal(layer?.outcome, "served");
  during(registry);
  const first = await sum(host, image, "first");
  registry.faults.clear();
  await pause(1500); // what was waited for in vain fails at once for a moment
  const second = await sum(host, image, "second");
  assert.equal(second.stdout.split(" ")[0], SUM, second.stderr);
  return { first, logs: host.logs(), tokens: registry.gate.issued };
}

Deno.test("a registry that breaks off in the middle of ranges delays a read and no more", async () => {
  const { first } = await readUnder(({ faults }) =>
    faults.add({ kind: "truncate", afterBytes: 1000, times: 3 })
  );
  assert.equal(first.stdout.split(" ")[0], SUM, first.stderr);
});

Deno.test("a token that ends while a container runs is renewed", async () => {
  let issued = 0;
  const { first, tokens } = await readUnder(({ gate }) => {
    issued = gate.issued;
    gate.revoke();
  }, "user:secret");
  assert.equal(first.stdout.split(" ")[0], SUM, first.stderr);
  assert.ok(tokens > issued);
});

Deno.test("too many requests, server errors and refusals for a while are waited out", async () => {
  const { first } = await readUnder(({ faults }) => {
    faults.add({ kind: "status", status: 503, times: 1 });
    faults.add({ kind: "status", status: 429, retryAfter: "0", times: 1 });
    faults.add({ kind: "status", status: 401, times: 1 });
  });
  assert.equal(first.stdout.split(" ")[0], SUM, first.stderr);
});

Deno.test("bytes with a wrong digest are fetched again", async () => {
  const { first, logs } = await readUnder(({ faults }) =>
    faults.add({ kind: "corrupt", times: 2 })
  );
  assert.equal(first.stdout.split(" ")[0], SUM, first.stderr);
  assert.match(logs, /span has a wrong digest, fetching it again/);
});

Deno.test("bytes that stay wrong are an I/O error with layer, span and offset in the log, and heal", async () => {
  const { first, logs } = await readUnder(({ faults }) =>
    faults.add({ kind: "corrupt" })
  );
  assert.notEqual(first.code, 0);
  assert.doesNotMatch(first.stdout, new RegExp(SUM));
  const line = logs.split("\n").filter((text) => text.includes("span failed"))
    .map((text) => JSON.parse(text))[0];
  assert.match(line.layer, /^sha256:/);
  assert.equal(line.kind, "digest");
  assert.equal(typeof line.span, "number");
  assert.equal(typeof line.offset, "number");
});

Deno.test("a registry that is gone is an I/O error, the daemon lives, and what was read stays", async () => {
  await using registry = startRegistry();
  const image = await indexedImage(registry);
  await using host = await LazyHost.start({ config: CONFIG });
  await host.pull(image);
  const before = await sum(host, image, "before");
  assert.equal(before.stdout.split(" ")[0], SUM);
  const other = await indexedOther(registry);
  await host.pull(other);
  await registry.close();
  const gone = await sum(host, other, "gone");
  assert.notEqual(gone.code, 0);
  assert.match(host.logs(), /read failed/);
  const after = await sum(host, image, "after");
  assert.equal(after.stdout.split(" ")[0], SUM, after.stderr);
});

/** Another indexed image of the same registry, none of whose layers is shared. */
async function indexedOther(registry: TestRegistry): Promise<string> {
  const tar = addBusybox(new TarBuilder().file("other", "other"))
    .dir("data").file("data/file", incompressible(2 ** 20, 7));
  await pushImage(
    registry.host,
    "other:1",
    makeImage({ layers: [layerBlob(tar)], config: { cmd: ["/bin/sh"] } }),
  );
  const image = `${registry.host}/other:1`;
  await buildIndex("--min-layer-size", "0", "--span-size", "256KiB", image);
  return image;
}

/** Replaces the ztoc of an indexed image in its index by other bytes. */
async function replaceZtoc(
  registry: TestRegistry,
  image: string,
  change: (ztoc: Uint8Array<ArrayBuffer>) => {
    bytes: Uint8Array<ArrayBuffer>;
    /** What the index says of them; default: the truth. */
    claimed?: Descriptor;
  },
): Promise<void> {
  const base = `${registry.url}/v2/${REPOSITORY}`;
  const get = async (path: string) => {
    const response = await fetch(`${base}/${path}`, {
      headers: { accept: `${MEDIA.ociManifest}, ${MEDIA.ociIndex}` },
    });
    assert.ok(response.ok, `${path}: ${response.status}`);
    return {
      bytes: await response.bytes(),
      digest: response.headers.get("docker-content-digest") ?? "",
      mediaType: response.headers.get("content-type") ?? "",
    };
  };
  const manifest = await get(`manifests/${image.split(":").at(-1)}`);
  parseManifest(manifest.bytes, manifest.mediaType); // it is one
  const referrers = await get(`referrers/${manifest.digest}`);
  const found = parseIndex(referrers.bytes, MEDIA.ociIndex).manifests
    .find(({ artifactType }) => artifactType === SOCI_MEDIA.indexV1);
  assert.ok(found !== undefined);
  const index = decodeIndex((await get(`manifests/${found.digest}`)).bytes);
  const [ztoc] = index.layers;
  assert.ok(ztoc !== undefined && index.subject !== undefined);
  const { bytes, claimed } = change((await get(`blobs/${ztoc.digest}`)).bytes);
  const put = registry.addBlob(REPOSITORY, bytes);
  const { digest, size } = claimed ?? put;
  const deleted = await fetch(`${base}/manifests/${found.digest}`, {
    method: "DELETE",
  });
  await deleted.body?.cancel();
  registry.addManifest(
    REPOSITORY,
    encodeIndex(makeIndex({
      layers: [{ ...ztoc, digest, size }],
      subject: index.subject,
    })) as Uint8Array<ArrayBuffer>,
  );
}

const BAD_ZTOCS: Record<string, Parameters<typeof replaceZtoc>[2]> = {
  "a truncated ztoc": (ztoc) => ({ bytes: ztoc.slice(0, ztoc.length >> 1) }),
  "a ztoc of noise": () => ({
    bytes: new Uint8Array(incompressible(5000, 3)),
  }),
  "a ztoc with its checkpoints flipped": (ztoc) => {
    const bytes = ztoc.slice();
    for (let at = 0; at < bytes.length; at += 97) bytes[at]! ^= 0x55;
    return { bytes };
  },
  "an index whose ztoc digest fits no bytes": (ztoc) => ({
    bytes: ztoc,
    claimed: {
      mediaType: "application/octet-stream",
      digest: parseDigest(`sha256:${"5".repeat(64)}`),
      size: ztoc.length,
    },
  }),
};

for (const [what, change] of Object.entries(BAD_ZTOCS)) {
  Deno.test(`${what} keeps no image from running, and no wrong byte is served`, async () => {
    await using registry = startRegistry();
    const image = await indexedImage(registry);
    await replaceZtoc(registry, image, change);
    await using host = await LazyHost.start({ config: CONFIG });
    await host.pull(image);
    const { stdout, stderr } = await sum(host, image, "bad-ztoc");
    assert.equal(stdout.split(" ")[0], SUM, `${stderr}\n${host.logs()}`);
    assert.match(
      host.logs(),
      /ztoc cannot be used|cannot be served lazily|no index/,
    );
  });
}

Deno.test("a ztoc with one flipped bit serves right bytes or errors, never others", async () => {
  await using registry = startRegistry();
  const image = await indexedImage(registry);
  await using host = await LazyHost.start({ config: CONFIG });
  for (const [round, share] of [0.02, 0.3, 0.9].entries()) {
    await replaceZtoc(registry, image, (ztoc) => {
      const bytes = ztoc.slice();
      bytes[Math.floor(bytes.length * share)]! ^= 1 << round;
      return { bytes };
    });
    await host.pull(image);
    const { code, stdout } = await sum(host, image, `bit-${round}`);
    if (code === 0) assert.equal(stdout.split(" ")[0], SUM);
    await host.removeImages(image);
  }
});

Deno.test("a ztoc that lies about a file's mode gives errors, is named in the log, and is not used for the next pull", async () => {
  await using registry = startRegistry();
  const image = await indexedImage(registry);
  await replaceZtoc(registry, image, (bytes) => {
    const ztoc = decodeZtoc(bytes);
    const entries = ztoc.entries.map((entry) =>
      new TextDecoder().decode(entry.name) === "data/file"
        ? { ...entry, mode: 0o4755 }
        : entry
    );
    return {
      bytes: encodeZtoc({ ...ztoc, entries }) as Uint8Array<ArrayBuffer>,
    };
  });
  await using host = await LazyHost.start({ config: CONFIG });
  await host.pull(image);
  // Part of busybox is in the same span, so it may not even come to say what is wrong.
  const { code } = await sum(host, image, "lied-to");
  assert.notEqual(code, 0);
  assert.match(host.logs(), /ztoc lies about its layer/);
  assert.match(
    host.logs(),
    /entry \\"data\/file\\": the layer has another mode/,
  );
  await host.removeImages(image);
  await host.pull(image);
  const again = await sum(host, image, "downloaded");
  assert.equal(again.stdout.split(" ")[0], SUM, again.stderr);
});
