import assert from "node:assert/strict";
import {
  type Descriptor,
  MEDIA,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import { fallbackTag } from "../../../../lib/remote/registry/referrers_tag.ts";
import {
  referrersAnswered,
  type RegistryOptions,
} from "../../../support/registry/mod.ts";
import { type Scene, scene } from "./helpers.ts";

const REPOSITORY = "team/app";
const TYPE = "application/vnd.test.index.v1+json";
const encode = (value: unknown) =>
  new TextEncoder().encode(JSON.stringify(value));
const digestOf = (value: unknown) => sha256(encode(value));
const IMAGE = {
  schemaVersion: 2,
  config: { mediaType: MEDIA.ociConfig, digest: digestOf(0), size: 1 },
  layers: [],
};
/** An artifact that says what it is by its config alone, as SOCI indexes do. */
const artifact = (subject: Descriptor, note = "") =>
  encode({
    ...IMAGE,
    mediaType: MEDIA.ociManifest,
    config: { ...IMAGE.config, mediaType: TYPE },
    subject,
    annotations: { note },
  });

type Entry = Readonly<Record<string, unknown>>;

const page = (manifests: readonly Entry[], headers: HeadersInit = {}) =>
  Response.json(
    { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests },
    { headers },
  );

const without = (entry: Entry, ...names: string[]): Entry =>
  Object.fromEntries(
    Object.entries(entry).filter(([name]) => !names.includes(name)),
  );

/** An image at the registry, an artifact of it, and the entry that lists the artifact. */
function withArtifact(s: Scene) {
  const subject = s.registry.addManifest(REPOSITORY, IMAGE, { tag: "v1" });
  const good = s.registry.addManifest(REPOSITORY, artifact(subject));
  const entry: Entry = { ...good, artifactType: TYPE };
  const find = async () => {
    const { client, reference } = s;
    const found = await client.referrers(reference, subject.digest, TYPE);
    return found.map(({ digest }) => digest);
  };
  return { subject, good, entry, find };
}

function listing(
  name: string,
  body: (s: Scene, at: ReturnType<typeof withArtifact>) => Promise<void>,
  registry: RegistryOptions = {},
): void {
  scene(name, { registry }, (s) => body(s, withArtifact(s)));
}

const ODD: Readonly<Record<string, (entry: Entry) => Entry>> = {
  "without size": (entry) => without(entry, "size"),
  "with a size as text": (entry) => ({ ...entry, size: "5" }),
  "with a negative size": (entry) => ({ ...entry, size: -1 }),
  "without media type": (entry) => without(entry, "mediaType"),
  "with nothing but a digest": ({ digest }) => ({ digest }),
  "with nulls": (entry) => ({
    ...entry,
    mediaType: null,
    artifactType: null,
    annotations: null,
    data: null,
    platform: null,
    urls: null,
  }),
  "with annotations that are no text": (entry) => ({
    ...entry,
    annotations: { a: 5, b: null, c: {} },
  }),
  "with a list of annotations": (entry) => ({ ...entry, annotations: [] }),
  "with 3 MB of annotations": (entry) => ({
    ...entry,
    annotations: { a: "x".repeat(3_000_000) },
  }),
  "with an empty platform": (entry) => ({ ...entry, platform: {} }),
  "with odd addresses": (entry) => ({ ...entry, urls: "x" }),
  "whose type is that of manifests": (entry) => ({
    ...entry,
    artifactType: MEDIA.ociManifest,
  }),
};

for (const [form, change] of Object.entries(ODD)) {
  for (const by of ["API", "tag"] as const) {
    listing(
      `a referrer is found that the ${by} lists ${form}`,
      async (s, at) => {
        const answer = () => page([change(at.entry)]);
        if (by === "API") s.registry.intercept = referrersAnswered(answer);
        else {
          s.registry.addManifest(REPOSITORY, await answer().bytes(), {
            mediaType: MEDIA.ociIndex,
            tag: fallbackTag(at.subject.digest),
          });
        }
        assert.deepEqual(await at.find(), [at.good.digest]);
      },
      { referrersApi: by === "API" },
    );
  }
}

listing(
  "a referrer is found behind many whose type is not said",
  async (s, at) => {
    const { registry } = s;
    const others = Array.from(
      { length: 40 },
      (_, i) =>
        registry.addManifest(REPOSITORY, {
          ...IMAGE,
          annotations: { i: `${i}` },
        }),
    );
    registry.intercept = referrersAnswered(() =>
      page(
        [...others, without(at.entry, "artifactType")].map((one) => ({
          ...one,
        })),
      )
    );
    assert.deepEqual(await at.find(), [at.good.digest]);
    // It costs a bounded number of requests.
    registry.requests.length = 0;
    const many = Array.from(
      { length: 500 },
      (_, i) => ({ ...others[i % 40]! }),
    );
    registry.intercept = referrersAnswered(() => page(many));
    assert.deepEqual(await at.find(), []);
    assert.ok(registry.requests.length < 70);
  },
);

const filtered = { "oci-filters-applied": "artifactType" };

for (
  const [form, answer] of [
    ["sees no config's type", () => page([], filtered)],
    ["is refused by 400", () => new Response(null, { status: 400 })],
    ["is refused by 422", () => new Response(null, { status: 422 })],
  ] as const
) {
  listing(`a referrer is found where the filter ${form}`, async (s, at) => {
    s.registry.intercept = referrersAnswered(({ url }) =>
      url.includes("artifactType=")
        ? answer()
        : page([without(at.entry, "artifactType")])
    );
    assert.deepEqual(await at.find(), [at.good.digest]);
  });
}

listing("a filtered list counts where the whole list fails", async (s, at) => {
  s.registry.intercept = referrersAnswered(({ url }) =>
    url.includes("artifactType=")
      ? page([], filtered)
      : new Response(null, { status: 500 })
  );
  assert.deepEqual(await at.find(), []);
});

for (
  const [form, answer] of [
    ["202", () => new Response("", { status: 202 })],
    ["204", () => new Response(null, { status: 204 })],
    ["300", () => new Response(null, { status: 300 })],
    ["a redirect to nowhere", () => new Response(null, { status: 302 })],
    [
      "a redirect to this machine's neighbours",
      () => Response.redirect("http://169.254.169.254/login"),
    ],
    ["451", () => new Response("", { status: 451 })],
  ] as const
) {
  listing(
    `an API that answers ${form} and no tag are no referrers`,
    async (s, at) => {
      s.registry.intercept = referrersAnswered(answer);
      assert.deepEqual(await at.find(), []);
    },
  );
}

for (
  const status of [400, 402, 404, 405, 406, 409, 410, 412, 415, 422, 451, 501]
) {
  listing(
    `a tag that is not there may be answered ${status}`,
    async (s, at) => {
      const { registry, client, reference } = s;
      const tag = fallbackTag(at.subject.digest);
      registry.intercept = (path, { method }) =>
        path.endsWith(`/manifests/${tag}`) && method !== "PUT" &&
          registry.store.manifest(REPOSITORY, tag) === undefined
          ? new Response(null, { status })
          : null;
      assert.deepEqual(await at.find(), []);
      const bytes = artifact(at.subject, "pushed");
      await client.pushReferrer(
        reference,
        bytes,
        MEDIA.ociManifest,
        at.subject,
      );
      assert.deepEqual(await at.find(), [sha256(bytes)]);
    },
    { referrersApi: false },
  );
}

listing(
  "a tag that stands for the image itself, an index, is written anew",
  async (s, at) => {
    const { registry, client, reference } = s;
    const image = await page([{ ...at.subject }]).bytes();
    const subject = registry.addManifest(REPOSITORY, image, {
      mediaType: MEDIA.ociIndex,
    });
    const tag = fallbackTag(subject.digest);
    registry.intercept = (path, { method }) =>
      path.endsWith(`/manifests/${tag}`) && method === "GET" &&
        registry.store.manifest(REPOSITORY, tag) === undefined
        ? new Response(image, { headers: { "content-type": MEDIA.ociIndex } })
        : null;
    const bytes = artifact(subject);
    await client.pushReferrer(reference, bytes, MEDIA.ociManifest, subject);
    const list = registry.store.manifest(REPOSITORY, tag)!.bytes;
    const { manifests } = JSON.parse(new TextDecoder().decode(list));
    assert.deepEqual(manifests.map(({ digest }: Descriptor) => digest), [
      sha256(bytes),
    ]);
  },
  { referrersApi: false },
);

for (
  const [place, link] of [
    ["an inner host", (path: string) => `http://registry-core:8080${path}`],
    ["an inner address", (path: string) => `https://10.0.0.1${path}`],
    ["a private port", (path: string) => `http://127.0.0.1:1${path}`],
    ["another host of its scheme", (path: string) => `//registry-core${path}`],
    ["an inner path", (path: string) => `http://core/inner${path}`],
    [
      "an escaped path",
      (path: string) => `http://core${path.replace("sha256:", "sha256%3A")}`,
    ],
    ["a path without its host", (path: string) => path],
    ["no path", () => ""],
  ] as const
) {
  listing(
    `the next page is asked of the registry where it is at ${place}`,
    async (s, at) => {
      s.registry.intercept = referrersAnswered(({ url }) => {
        const { pathname, searchParams } = new URL(url);
        const other = { ...at.entry, digest: digestOf(9), artifactType: "x/y" };
        return searchParams.has("n")
          ? page([at.entry])
          : page([other], { link: `<${link(pathname)}?n=2>; rel="next"` });
      });
      assert.deepEqual(await at.find(), [at.good.digest]);
      assert.equal(s.registry.requests.length, 2);
    },
  );
}

listing(
  "empty pages that lead to each other are no referrers",
  async (s, at) => {
    s.registry.intercept = referrersAnswered(({ url }) =>
      page([], { link: `<?n=${url.includes("n=1") ? 2 : 1}>; rel=next` })
    );
    assert.deepEqual(await at.find(), []);
  },
);

const BESIDE = "application/vnd.test.beside.v1";

for (const where of ["API", "tag", "both"] as const) {
  listing(
    `what stands beside is found in the ${where} with no request more`,
    async (s, at) => {
      const other = { ...at.entry, digest: digestOf(8), artifactType: "x/y" };
      const beside = { ...at.entry, digest: digestOf(9), artifactType: BESIDE };
      const answer = (...of: Entry[]) => page([other, ...of]);
      const find = async () => {
        const { client, reference, registry } = s;
        registry.requests.length = 0;
        const found = await client.referrers(
          reference,
          at.subject.digest,
          TYPE,
          { beside: [BESIDE] },
        );
        return found.map(({ digest }) => digest);
      };
      if (where !== "API") {
        s.registry.addManifest(
          REPOSITORY,
          await answer(at.entry, ...(where === "both" ? [] : [beside])).bytes(),
          { mediaType: MEDIA.ociIndex, tag: fallbackTag(at.subject.digest) },
        );
      }
      if (where !== "tag") {
        s.registry.intercept = referrersAnswered(() =>
          where === "API" ? answer(beside, at.entry) : answer(beside)
        );
      }
      assert.deepEqual(await find(), [at.good.digest, beside.digest]);
      const { length } = s.registry.requests;
      assert.equal(length, where === "API" ? 1 : 2); // API, and tag where the API has no index
    },
    { referrersApi: where !== "tag" },
  );
}

listing(
  "what stands beside does not hide that the API failed",
  async (s, at) => {
    const { registry, client, reference } = s;
    const beside = { ...at.entry, digest: digestOf(9), artifactType: BESIDE };
    registry.addManifest(REPOSITORY, await page([beside]).bytes(), {
      mediaType: MEDIA.ociIndex,
      tag: fallbackTag(at.subject.digest),
    });
    registry.intercept = referrersAnswered(() =>
      new Response(null, { status: 500 })
    );
    await assert.rejects(
      client.referrers(reference, at.subject.digest, TYPE, {
        beside: [BESIDE],
      }),
    );
  },
);

listing(
  "among thousands of referrers, what is wanted is asked for by type",
  async (s, at) => {
    const { registry, client, reference } = s;
    const beside = registry.addManifest(REPOSITORY, {
      ...IMAGE,
      mediaType: MEDIA.ociManifest,
      artifactType: BESIDE,
      subject: { ...at.subject },
    });
    for (let i = 0; i < 2000; i++) {
      registry.addManifest(REPOSITORY, {
        ...IMAGE,
        artifactType: "x/signature",
        subject: { ...at.subject },
        annotations: { i: `${i}` },
      });
    }
    const find = async () => {
      registry.requests.length = 0;
      const found = await client.referrers(
        reference,
        at.subject.digest,
        TYPE,
        { beside: [BESIDE] },
      );
      return found.map(({ digest }) => digest);
    };
    // The first page holds them here; they could be anywhere.
    assert.deepEqual(await find(), [at.good.digest, beside.digest]);
    assert.equal(registry.requests.length, 3);
    // A registry that takes no filter, or whose filter does not see the type, gives all its pages.
    for (const refusal of [400, 200]) {
      registry.intercept = (path, { url }) =>
        path.includes("/referrers/") && url.includes("artifactType=")
          ? refusal === 200
            ? page([], filtered)
            : new Response(null, { status: refusal })
          : null;
      assert.deepEqual(await find(), [at.good.digest, beside.digest]);
      assert.ok(registry.requests.length <= 3 + 20);
    }
  },
  { referrersPageSize: 100 },
);
