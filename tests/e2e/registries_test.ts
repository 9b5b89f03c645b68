/** Registries as they are in use, from the index's push to the container's read. `docs/compatibility.md` */
import assert from "node:assert/strict";
import { ctrRun } from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import {
  artifactsRefused,
  headRefused,
  type Intercept,
  manifestsAs,
  missingTagForbidden,
  missingTagIsSubject,
  type RangeStyle,
  referrersAnswered,
  type RegistryOptions,
  startRegistry,
  type TestRegistry,
} from "../support/registry/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

const DATA = incompressible(6 * 2 ** 20);
const SUM = new Uint8Array(
  await crypto.subtle.digest("SHA-256", DATA as BufferSource),
).toHex();

/** An image of a few small layers and one of noise, pushed by a client that is not under test. */
async function pushApp(registry: TestRegistry, repository: string) {
  const base = layerBlob(addBusybox(new TarBuilder()));
  const small = [1, 2].map((n) =>
    layerBlob(new TarBuilder().file(`small-${n}`, new Uint8Array(n)))
  );
  const data = layerBlob(
    new TarBuilder().dir("data").file("data/file", DATA)
      .file("data/last", new TextEncoder().encode("the end")),
  );
  await pushImage(
    registry.host,
    `${repository}:1`,
    makeImage({
      layers: [base, ...small, data],
      config: { cmd: ["/bin/sh"] },
    }),
  );
  return { image: `${registry.host}/${repository}:1`, data };
}

const index = (image: string) =>
  buildIndex("--min-layer-size", "0", "--span-size", "512KiB", image);

async function readAll(host: LazyHost, image: string, id: string) {
  const { code, stdout, stderr } = await ctrRun(host.containerd, {
    image,
    id,
    snapshotter: "soci",
    args: [
      ...["/bin/sh", "-c"],
      "/bin/busybox cat /data/last; /bin/busybox sha256sum /data/file",
    ],
  });
  assert.equal(code, 0, `${stderr}\n${host.logs()}`);
  assert.equal(stdout.trim(), `the end${SUM}  /data/file`);
}

/** Requests for all of a blob. */
function wholes(registry: TestRegistry, digest: string): number {
  return registry.requests.filter(({ method, path, range, server }) =>
    method === "GET" && path.includes(digest) && range === null &&
    server === (registry.redirect === null ? "registry" : "storage")
  ).length;
}

const RANGES: readonly (readonly [string, RangeStyle, RegistryOptions])[] = [
  ["ignores them", { kind: "ignored" }, {}],
  ["gives them with 200", { kind: "ok" }, {}],
  ["gives them without saying which", { kind: "unlabelled" }, {}],
  ["packs them as multipart", { kind: "multipart" }, {}],
  ["gives more than asked for", { kind: "wider", bytes: 5000 }, {}],
  ["gives less than asked for", { kind: "narrower", bytes: 100_000 }, {}],
  ["refuses them by 400", { kind: "refused", status: 400 }, {}],
  ["refuses them by 403", { kind: "refused", status: 403 }, {}],
  ["refuses them by 416", { kind: "refused", status: 416 }, {}],
  [
    "leads to signed addresses that refuse them",
    { kind: "refused", status: 403 },
    { redirect: { lifeMs: 60_000 } },
  ],
];

Deno.test("an indexed image runs from a registry whatever it makes of ranges, no layer comes twice", async (t) => {
  await using host = await LazyHost.start();
  for (const [at, [name, style, options]] of RANGES.entries()) {
    await t.step(`a registry that ${name}`, async () => {
      await using registry = startRegistry(options);
      const { image, data } = await pushApp(registry, "team/app");
      await index(image);
      registry.ranges = style;
      registry.requests.length = 0;
      const { layers } = await host.pull(image);
      assert.ok(layers.every(({ outcome }) => outcome === "served"));
      await readAll(host, image, `ranges-${at}`);
      const expected = ["ok", "wider", "narrower"].includes(style.kind) ? 0 : 1;
      assert.equal(wholes(registry, data.digest), expected);
      await host.removeImages(image);
    });
  }
});

/** Registries by what they do, and whether they have a referrers API. */
const QUIRKS: readonly (readonly [
  string,
  (registry: TestRegistry) => Intercept,
  RegistryOptions,
])[] = [
  [
    "lists referrers as plain JSON",
    (registry) => (path, request) => {
      if (!path.includes("/referrers/")) return null;
      const digest = path.split("/").at(-1);
      const { manifests } = registry.store.repository("team/app");
      const items = [...manifests.values()].filter(({ bytes }) =>
        JSON.parse(new TextDecoder().decode(bytes)).subject?.digest === digest
      ).map(({ mediaType, digest, bytes }) => ({
        mediaType,
        digest,
        size: bytes.length,
      }));
      assert.equal(request.method, "GET");
      return Response.json({ schemaVersion: 2, manifests: items });
    },
    {},
  ],
  [
    "forbids reading a tag that is not there",
    missingTagForbidden,
    { referrersApi: false },
  ],
  [
    "takes the tag for the image",
    missingTagIsSubject,
    { referrersApi: false },
  ],
  ["forbids HEAD", () => headRefused(403), {}],
  ["knows no HEAD", () => headRefused(405), {}],
  [
    "gives manifests as text",
    (registry) => manifestsAs(registry, "text/plain; charset=utf-8"),
    { referrersApi: false },
  ],
  [
    "gives manifests without a type",
    (registry) => manifestsAs(registry, null),
    { referrersApi: false },
  ],
];

Deno.test("an index is pushed to a registry and found there, whatever its ways", async (t) => {
  await using host = await LazyHost.start();
  for (const [at, [name, quirk, options]] of QUIRKS.entries()) {
    await t.step(`a registry that ${name}`, async () => {
      await using registry = startRegistry(options);
      const { image } = await pushApp(registry, "team/app");
      registry.intercept = quirk(registry);
      await index(image);
      const seen = await sociDeno("inspect", image);
      assert.equal(seen.code, 0, seen.stderr);
      assert.match(seen.stdout, /^index +sha256:/m);
      const { layers } = await host.pull(image);
      assert.ok(layers.every(({ outcome }) => outcome === "served"));
      await readAll(host, image, `quirk-${at}`);
      await host.removeImages(image);
    });
  }
});

Deno.test("a registry that takes no artifacts is told with the flag that goes round it", async () => {
  await using registry = startRegistry();
  const { image } = await pushApp(registry, "team/app");
  registry.intercept = artifactsRefused(400);
  const { code, stderr } = await sociDeno(
    ...["build-index", "--min-layer-size", "0", image],
  );
  assert.equal(code, 1);
  assert.match(stderr, /does not take the index.*--to/);
});

Deno.test("referrers that cannot be had cost an image one wait, not one a layer", async (t) => {
  const never = Promise.withResolvers<void>();
  await using host = await LazyHost.start({
    config: `mount_timeout_sec = 8
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
`,
  });
  const cases: readonly (readonly [string, () => Promise<Response>])[] = [
    ["500", () => Promise.resolve(new Response("no", { status: 500 }))],
    [
      "nothing at all",
      () => never.promise.then(() => new Response("no", { status: 500 })),
    ],
  ];
  for (const [name, answer] of cases) {
    await t.step(`an API that answers ${name}`, async () => {
      await using registry = startRegistry();
      const { image } = await pushApp(registry, "team/app");
      registry.intercept = referrersAnswered(answer);
      const start = performance.now();
      const { layers } = await host.pull(image);
      assert.ok(layers.every(({ outcome }) => outcome === "unpacked"));
      assert.ok(performance.now() - start < 20_000);
      const asked = registry.requests.filter(({ path }) =>
        path.includes("/referrers/")
      ).length;
      assert.ok(asked <= 9, `asked ${asked} times`);
      await host.removeImages(image);
      never.resolve();
    });
  }
});

Deno.test("a layer that cannot be served is downloaded twice at most: by the daemon and by containerd", async () => {
  await using registry = startRegistry();
  await using host = await LazyHost.start();
  const good = Array.from(
    { length: 8 },
    (_, n) =>
      layerBlob(
        new TarBuilder().file(`large-${n}`, incompressible(50_000, n + 1)),
      ),
  );
  const bad = layerBlob(new TarBuilder().file("small", new Uint8Array(9)));
  // Its configuration says that it is something else: seen when it is here, as it is not indexed.
  const wrong = { ...bad, diffId: good[0]!.diffId };
  const image = `${registry.host}/bad:1`;
  await pushImage(
    registry.host,
    "bad:1",
    makeImage({ layers: [...good, wrong] }),
  );
  await buildIndex("--min-layer-size", "10KiB", image);
  registry.requests.length = 0;
  await assert.rejects(host.pull(image));
  const downloads = wholes(registry, bad.digest);
  assert.ok(downloads >= 1 && downloads <= 2, `${downloads} downloads`);
});
