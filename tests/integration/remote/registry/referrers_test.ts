import assert from "node:assert/strict";
import {
  type Descriptor,
  type Digest,
  MEDIA,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import { fallbackTag } from "../../../../lib/remote/registry/referrers_tag.ts";
import {
  artifactsRefused,
  immutableTags,
  missingTagForbidden,
  missingTagIsSubject,
  referrersAnswered,
  startRegistry,
  together,
} from "../../../support/registry/mod.ts";
import { fails, QUICK, type Scene, scene } from "./helpers.ts";
import { RegistryClient } from "../../../../lib/remote/registry/mod.ts";

const encode = (value: unknown) =>
  new TextEncoder().encode(JSON.stringify(value));
const TYPE = "application/vnd.test.index.v1+json";
const config = {
  mediaType: TYPE,
  digest: sha256(encode({})),
  size: 2,
};
const REPOSITORY = "team/app";

/** An artifact that says what it is by its config alone, as SOCI indexes do. */
function artifact(subject: Descriptor, note = "") {
  return encode({
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    config,
    layers: [],
    subject,
    annotations: { note },
  });
}

function addSubject({ registry }: Scene): Descriptor {
  return registry.addManifest(REPOSITORY, {
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    config: { ...config, mediaType: MEDIA.ociConfig },
    layers: [],
  }, { tag: "v1" });
}

const listed = (entries: unknown[]) => ({
  schemaVersion: 2,
  mediaType: MEDIA.ociIndex,
  manifests: entries,
});

/** Puts an artifact into the registry, listed by the fallback tag alone. */
function addTagged(s: Scene, subject: Descriptor, more: unknown[] = []) {
  const bytes = artifact(subject);
  const { digest, size } = s.registry.addManifest(REPOSITORY, bytes);
  const item = {
    mediaType: MEDIA.ociManifest,
    digest,
    size,
    artifactType: TYPE,
  };
  s.registry.addManifest(REPOSITORY, listed([...more, item]), {
    mediaType: MEDIA.ociIndex,
    tag: fallbackTag(subject.digest),
  });
  return digest;
}

async function digestsOf({ client, reference }: Scene, subject: Descriptor) {
  const found = await client.referrers(reference, subject.digest, TYPE);
  return found.map(({ digest }) => digest);
}

for (
  const contentType of [
    "application/json",
    "application/json; charset=utf-8",
    "Application/Vnd.OCI.Image.Index.V1+JSON; charset=utf-8",
    "text/plain",
    null,
  ]
) {
  scene(`referrers listed as ${contentType} are read`, {}, async (s) => {
    const subject = addSubject(s);
    const { digest, size } = s.registry.addManifest(
      REPOSITORY,
      artifact(subject),
    );
    s.registry.intercept = referrersAnswered(() => {
      const body = encode(listed([{
        mediaType: MEDIA.ociManifest,
        digest,
        size,
        artifactType: TYPE,
      }]));
      const answer = new Response(body);
      if (contentType !== null) {
        answer.headers.set("content-type", contentType);
      }
      return answer;
    });
    assert.deepEqual(await digestsOf(s, subject), [digest]);
  });
}

scene(
  "a referrer is found that its list says nothing of but the digest",
  {},
  async (s) => {
    const subject = addSubject(s);
    const { digest, size } = s.registry.addManifest(
      REPOSITORY,
      artifact(subject),
    );
    const other = s.registry.addManifest(REPOSITORY, {
      schemaVersion: 2,
      config: { ...config, mediaType: "x/other" },
      layers: [],
    });
    s.registry.intercept = referrersAnswered(() =>
      Response.json(listed([
        {
          mediaType: MEDIA.ociManifest,
          digest: other.digest,
          size: other.size,
        },
        { mediaType: MEDIA.ociManifest, digest, size, artifactType: "" },
        { mediaType: MEDIA.ociManifest, digest: sha256(encode(1)), size: 1 },
      ]))
    );
    assert.deepEqual(await digestsOf(s, subject), [digest]);
  },
);

const ODD: readonly unknown[] = [
  {
    mediaType: MEDIA.ociManifest,
    digest: `sha512:${"a".repeat(128)}`,
    size: 5,
    artifactType: TYPE,
  },
  { mediaType: MEDIA.ociManifest, digest: "blake3:00", size: 5 },
  { mediaType: MEDIA.ociManifest, digest: "../../x", size: 5 },
  { mediaType: MEDIA.ociManifest, size: 5 },
  { mediaType: 5, digest: sha256(encode(2)), size: 5 },
  { mediaType: MEDIA.ociManifest, digest: sha256(encode(2)), size: -1 },
  { mediaType: MEDIA.ociManifest, digest: sha256(encode(2)), size: "5" },
  {
    mediaType: MEDIA.ociManifest,
    digest: sha256(encode(2)),
    size: 5,
    annotations: { a: 5 },
  },
  null,
  "entry",
  [],
];

for (const by of ["API", "tag"] as const) {
  scene(`odd entries listed by the ${by} do not hide the good one`, {
    registry: { referrersApi: false },
  }, async (s) => {
    const subject = addSubject(s);
    const digest = addTagged(s, subject, [...ODD]);
    if (by === "API") {
      const tag = s.registry.store.manifest(
        REPOSITORY,
        fallbackTag(subject.digest),
      );
      s.registry.intercept = referrersAnswered(() => new Response(tag!.bytes));
    }
    assert.deepEqual(await digestsOf(s, subject), [digest]);
  });
}

scene("odd entries of the tag stay where an index is added", {
  registry: { referrersApi: false },
}, async (s) => {
  const subject = addSubject(s);
  addTagged(s, subject, [...ODD]);
  const bytes = artifact(subject, "new");
  await s.client.pushReferrer(
    s.reference,
    bytes,
    MEDIA.ociManifest,
    subject,
  );
  const tag = s.registry.store.manifest(
    REPOSITORY,
    fallbackTag(subject.digest),
  );
  const { manifests } = JSON.parse(new TextDecoder().decode(tag!.bytes));
  assert.equal(manifests.length, ODD.length + 2);
  assert.deepEqual(manifests.slice(0, ODD.length), ODD);
});

for (const status of [400, 401, 403, 404, 405, 406, 410, 415, 500, 501, 503]) {
  scene(
    `the tag is believed where the API answers ${status}`,
    {},
    async (s) => {
      const subject = addSubject(s);
      const digest = addTagged(s, subject);
      s.registry.intercept = referrersAnswered(() =>
        new Response("no", { status })
      );
      assert.deepEqual(await digestsOf(s, subject), [digest]);
    },
  );
  scene(
    `an API that answers ${status} and no tag are ${
      status >= 500 && status !== 501 ? "an error" : "no referrers"
    }`,
    {},
    async (s) => {
      const subject = addSubject(s);
      s.registry.intercept = referrersAnswered(() =>
        new Response("no", { status })
      );
      const found = digestsOf(s, subject);
      if (status >= 500 && status !== 501) await fails("unavailable", found);
      else assert.deepEqual(await found, []);
    },
  );
}

for (
  const [what, body] of [
    ["a page of its own", "<html></html>"],
    ["a list of another kind", '{"referrers":[]}'],
    ["an image", JSON.stringify({ schemaVersion: 2, config, layers: [] })],
    ["an empty list", JSON.stringify(listed([]))],
    ["no list", '{"schemaVersion":2,"manifests":null}'],
  ] as const
) {
  scene(
    `the tag is believed where the API answers with ${what}`,
    {},
    async (s) => {
      const subject = addSubject(s);
      const digest = addTagged(s, subject);
      s.registry.intercept = referrersAnswered(() => new Response(body));
      assert.deepEqual(await digestsOf(s, subject), [digest]);
    },
  );
}

scene("the tag is not waited for behind an API that never answers", {
  client: { timeouts: { headersMs: 60_000, idleMs: 60_000 } },
}, async (s) => {
  const subject = addSubject(s);
  const digest = addTagged(s, subject);
  const never = Promise.withResolvers<Response>();
  s.registry.intercept = referrersAnswered(() => never.promise);
  const start = performance.now();
  assert.deepEqual(await digestsOf(s, subject), [digest]);
  assert.ok(performance.now() - start < 10_000);
  never.resolve(new Response(null, { status: 503 }));
});

scene(
  "a later page that fails does not hide the earlier ones",
  {},
  async (s) => {
    const subject = addSubject(s);
    const { digest, size } = s.registry.addManifest(
      REPOSITORY,
      artifact(subject),
    );
    s.registry.intercept = referrersAnswered((request) =>
      request.url.includes("page=2")
        ? new Response("no", { status: 500 })
        : Response.json(
          listed([{
            mediaType: MEDIA.ociManifest,
            digest,
            size,
            artifactType: TYPE,
          }]),
          { headers: { link: "<?page=2>; rel=next" } },
        )
    );
    assert.deepEqual(await digestsOf(s, subject), [digest]);
  },
);

for (const status of [401, 403]) {
  scene(`a tag that is not there may be answered ${status}`, {
    registry: { referrersApi: false },
  }, async (s) => {
    const subject = addSubject(s);
    s.registry.intercept = missingTagForbidden(s.registry, status);
    assert.deepEqual(await digestsOf(s, subject), []);
    const bytes = artifact(subject);
    await s.client.pushReferrer(
      s.reference,
      bytes,
      MEDIA.ociManifest,
      subject,
    );
    assert.deepEqual(await digestsOf(s, subject), [sha256(bytes)]);
  });
}

scene("a tag is not written anew where nothing may be read", {
  registry: { referrersApi: false },
}, async (s) => {
  const subject = addSubject(s);
  addTagged(s, subject);
  const tag = () =>
    s.registry.store.manifest(REPOSITORY, fallbackTag(subject.digest))?.digest;
  const before = tag();
  s.registry.intercept = (path, { method }) =>
    method === "GET" && path.includes("/manifests/")
      ? new Response(null, { status: 403 })
      : null;
  const push = s.client.pushReferrer(
    s.reference,
    artifact(subject, "new"),
    MEDIA.ociManifest,
    subject,
  );
  await fails("forbidden", push);
  assert.equal(tag(), before);
});

scene("a tag that stands for the image itself is written", {
  registry: { referrersApi: false },
}, async (s) => {
  const subject = addSubject(s);
  s.registry.intercept = missingTagIsSubject(s.registry);
  assert.deepEqual(await digestsOf(s, subject), []);
  const bytes = artifact(subject);
  await s.client.pushReferrer(s.reference, bytes, MEDIA.ociManifest, subject);
  assert.deepEqual(await digestsOf(s, subject), [sha256(bytes)]);
});

scene("a tag that is another image is left, and the way round is named", {
  registry: { referrersApi: false },
}, async (s) => {
  const subject = addSubject(s);
  const other = s.registry.addManifest(REPOSITORY, {
    schemaVersion: 2,
    config,
    layers: [],
  }, { tag: fallbackTag(subject.digest) });
  assert.deepEqual(await digestsOf(s, subject), []);
  const push = s.client.pushReferrer(
    s.reference,
    artifact(subject),
    MEDIA.ociManifest,
    subject,
  );
  const error = await fails("no-artifacts", push);
  assert.match(error.message, /sha256-.*something else.*--to/);
  assert.ok(error.message.startsWith(`${s.registry.host}/${REPOSITORY}:`));
  const { tags } = s.registry.store.repository(REPOSITORY);
  assert.equal(tags.get(fallbackTag(subject.digest)), other.digest);
});

for (const status of [400, 403, 404, 409, 412, 423]) {
  scene(
    `a tag that may not change (${status}) takes the bytes it has`,
    {},
    async (s) => {
      const bytes = encode({ schemaVersion: 2, config, layers: [] });
      const push = () =>
        s.client.pushManifest(s.reference, bytes, MEDIA.ociManifest, {
          tag: "once",
        });
      const first = await push();
      s.registry.intercept = immutableTags(s.registry, status);
      assert.deepEqual(await push(), first);
      const other = s.client.pushManifest(
        s.reference,
        artifact(first),
        MEDIA.ociManifest,
        { tag: "once" },
      );
      const kind = status === 403
        ? "forbidden"
        : status === 404
        ? "not-found"
        : "protocol";
      await fails(kind, other);
    },
  );
}

for (const status of [400, 403, 409, 412, 423]) {
  scene(`an index is pushed again where tags may not change (${status})`, {
    registry: { referrersApi: false },
  }, async (s) => {
    const subject = addSubject(s);
    const push = (note: string) =>
      s.client.pushReferrer(
        s.reference,
        artifact(subject, note),
        MEDIA.ociManifest,
        subject,
      );
    await push("1");
    s.registry.intercept = immutableTags(s.registry, status);
    await push("1");
    const error = await fails("no-artifacts", push("2"));
    assert.match(error.message, /tag sha256-.*cannot be written.*--to/);
  });
}

for (const status of [400, 404, 405, 406, 410, 415, 422, 500, 501]) {
  scene(
    `a registry that takes no artifacts (${status}) is told with the way round`,
    {},
    async (s) => {
      const subject = addSubject(s);
      s.registry.intercept = together(artifactsRefused(status));
      const push = s.client.pushReferrer(
        s.reference,
        artifact(subject),
        MEDIA.ociManifest,
        subject,
      );
      const error = await fails("no-artifacts", push);
      assert.match(error.message, /--to/);
      assert.equal(error.status, status);
    },
  );
}

Deno.test("a mirror that knows of no referrers does not hide the registry's", async () => {
  await using registry = startRegistry();
  const image = registry.addManifest(REPOSITORY, {
    schemaVersion: 2,
    config: { ...config, mediaType: MEDIA.ociConfig },
    layers: [],
  });
  const { digest } = registry.addManifest(REPOSITORY, artifact(image));
  for (const status of [200, 403, 404, 500]) {
    await using mirror = startRegistry();
    mirror.intercept = referrersAnswered(() =>
      status === 200
        ? Response.json(listed([]))
        : new Response("no", { status })
    );
    using client = new RegistryClient({
      ...QUICK,
      mirrors: () => [{ url: mirror.url }],
    });
    const place = { host: registry.host, repository: REPOSITORY };
    const found = await client.referrers(place, image.digest, TYPE);
    assert.deepEqual(found.map((item) => item.digest), [digest]);
  }
});

for (const status of [404, 500]) {
  scene(
    `an index that its registry noted and does not list (${status}) is listed by the tag`,
    {},
    async (s) => {
      const subject = addSubject(s);
      s.registry.intercept = referrersAnswered(() =>
        new Response("no", { status })
      );
      const bytes = artifact(subject);
      const { subjectNoted } = await s.client.pushReferrer(
        s.reference,
        bytes,
        MEDIA.ociManifest,
        subject,
      );
      assert.ok(subjectNoted);
      assert.deepEqual(await digestsOf(s, subject), [sha256(bytes)]);
    },
  );
}

for (const referrersApi of [true, false]) {
  scene(
    `a referrer that is deleted is listed no more, ${
      referrersApi ? "with" : "without"
    } the API`,
    {
      registry: { referrersApi },
    },
    async (s) => {
      const subject = addSubject(s);
      const pushed = [];
      for (const note of ["first", "second"]) {
        const bytes = artifact(subject, note);
        await s.client.pushReferrer(
          s.reference,
          bytes,
          MEDIA.ociManifest,
          subject,
        );
        pushed.push(sha256(bytes));
      }
      const [first, second] = pushed as [Digest, Digest];
      const remove = () =>
        s.client.deleteReferrer(s.reference, first, subject.digest);
      assert.equal(await remove(), true);
      assert.deepEqual(await digestsOf(s, subject), [second]);
      assert.equal(s.registry.store.manifest(REPOSITORY, first), undefined);
      assert.equal(await remove(), false);
      assert.deepEqual(await digestsOf(s, subject), [second]);
    },
  );
}

scene("a registry that deletes nothing says so", {}, async (s) => {
  const subject = addSubject(s);
  const bytes = artifact(subject);
  await s.client.pushReferrer(s.reference, bytes, MEDIA.ociManifest, subject);
  s.registry.intercept = (_, { method }) =>
    method === "DELETE" ? new Response("no", { status: 405 }) : null;
  await fails(
    "no-deletes",
    s.client.deleteReferrer(s.reference, sha256(bytes), subject.digest),
  );
});
