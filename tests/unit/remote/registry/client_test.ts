import assert from "node:assert/strict";
import { MEDIA, sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  parseReference,
  RegistryClient,
  type RegistryClientOptions,
  RegistryError,
  staticCredentials,
} from "../../../../lib/remote/registry/mod.ts";

interface Seen {
  readonly url: string;
  readonly authorization: string | null;
}

/** A client whose network is a function; it keeps what was sent. */
function clientOf(
  answer: (url: URL, seen: Seen) => Response,
  options: RegistryClientOptions = {},
): { client: RegistryClient; sent: Seen[] } {
  const sent: Seen[] = [];
  const client = new RegistryClient({
    retry: { retries: 2, minWaitMs: 1, maxWaitMs: 5 },
    ...options,
    fetch: (input, init) => {
      const url = String(input);
      const authorization = new Headers(init?.headers).get("authorization");
      const seen = { url, authorization };
      sent.push(seen);
      return Promise.resolve(answer(new URL(url), seen));
    },
  });
  return { client, sent };
}

const manifest = () =>
  new Response("{}", { headers: { "content-type": MEDIA.ociManifest } });
const digest = sha256(new TextEncoder().encode("{}"));
const anna = { credentials: staticCredentials("anna", "secret") };

async function kindOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "none";
  } catch (error) {
    assert.ok(error instanceof RegistryError, String(error));
    assert.ok(!/secret|signature/.test(error.message), error.message);
    return error.kind;
  }
}

for (
  const [name, url] of [
    ["redis", "https://registry-1.docker.io/v2/library/redis/"],
    ["ghcr.io/a/b", "https://ghcr.io/v2/a/b/"],
    ["localhost:5000/a", "http://localhost:5000/v2/a/"],
    ["127.0.0.1:5000/a", "http://127.0.0.1:5000/v2/a/"],
    ["[::1]:5000/a", "http://[::1]:5000/v2/a/"],
    ["localhost.example/a", "https://localhost.example/v2/a/"],
    ["127.0.0.1.example/a", "https://127.0.0.1.example/v2/a/"],
  ] as const
) {
  Deno.test(`requests for ${name} go to ${url}`, async () => {
    const { client, sent } = clientOf(manifest);
    await client.manifest(parseReference(name));
    assert.equal(sent[0]!.url, `${url}manifests/latest`);
  });
}

Deno.test("plainHttp decides where it says something", async () => {
  const { client, sent } = clientOf(manifest, {
    plainHttp: (host) => host === "r.example" ? true : undefined,
  });
  await client.manifest(parseReference("r.example/a"));
  await client.manifest(parseReference("s.example/a"));
  assert.deepEqual(sent.map(({ url }) => url.slice(0, 6)), [
    "http:/",
    "https:",
  ]);
});

Deno.test("credentials do not follow a redirect to another host or port", async () => {
  const { client, sent } = clientOf((url, { authorization }) => {
    if (url.host !== "r.example") return manifest();
    if (authorization === null) {
      return new Response(null, {
        status: 401,
        headers: { "www-authenticate": "Basic" },
      });
    }
    return new Response(null, {
      status: 307,
      headers: { location: "https://r.example:8443/x?signature=1" },
    });
  }, anna);
  await client.manifest(parseReference("r.example/a"));
  assert.deepEqual(sent.map(({ authorization }) => authorization !== null), [
    false,
    true,
    false,
  ]);
});

Deno.test("a redirect from HTTPS to plain HTTP is refused", async () => {
  const { client } = clientOf(() =>
    new Response(null, {
      status: 302,
      headers: { location: "http://r.example/x?signature=1" },
    })
  );
  const promise = client.manifest(parseReference("r.example/a"));
  assert.equal(await kindOf(promise), "protocol");
});

Deno.test("a password is not sent to a token server in clear text", async () => {
  const { client, sent } = clientOf(() =>
    new Response(null, {
      status: 401,
      headers: { "www-authenticate": 'Bearer realm="http://evil.example/t"' },
    }), anna);
  const promise = client.manifest(parseReference("r.example/a"));
  assert.equal(await kindOf(promise), "unauthorized");
  assert.equal(sent.length, 1);
});

Deno.test("a token server's short trouble passes", async () => {
  let asked = 0;
  const { client } = clientOf((url, { authorization }) => {
    if (url.pathname === "/token") {
      return asked++ === 0
        ? new Response(null, { status: 503 })
        : Response.json({ access_token: "t" });
    }
    return authorization === "Bearer t" ? manifest() : new Response(null, {
      status: 401,
      headers: {
        "www-authenticate":
          'Bearer realm="https://auth.example/token",service="s",scope="repository:a:pull"',
      },
    });
  });
  await client.manifest(parseReference("r.example/a"));
  assert.equal(asked, 2);
});

Deno.test("an upload is not led from HTTPS to plain HTTP", async () => {
  const { client } = clientOf((url) =>
    url.pathname.endsWith("/uploads/")
      ? new Response(null, {
        status: 202,
        headers: { location: "http://r.example/up" },
      })
      : new Response(null, { status: 404 })
  );
  const promise = client.pushBlob(
    parseReference("r.example/a"),
    { digest, size: 2 },
    new TextEncoder().encode("{}"),
  );
  assert.equal(await kindOf(promise), "protocol");
});

Deno.test("a registry that knows no HEAD is asked by GET", async () => {
  let heads = 0;
  const client = new RegistryClient({
    fetch: (_, init) => {
      if (init?.method !== "HEAD") return Promise.resolve(manifest());
      heads++;
      return Promise.resolve(new Response(null, { status: 405 }));
    },
  });
  const found = await client.resolve(parseReference("r.example/a"));
  assert.deepEqual(found, { mediaType: MEDIA.ociManifest, digest, size: 2 });
  assert.equal(heads, 1);
});

Deno.test("a tag that is an address is refused unsent", async () => {
  const { client, sent } = clientOf(manifest);
  const promise = client.manifest(parseReference("r.example/a"), {
    tag: "../../other/manifests/x",
  });
  await assert.rejects(promise, RegistryError);
  assert.equal(sent.length, 0);
});

Deno.test("pages of referrers on another host are not followed", async () => {
  const { client } = clientOf(() =>
    new Response('{"schemaVersion":2,"manifests":[]}', {
      headers: {
        "content-type": MEDIA.ociIndex,
        link: '<https://evil.example/next>; rel="next"',
      },
    })
  );
  const promise = client.referrers(parseReference("r.example/a"), digest);
  assert.equal(await kindOf(promise), "protocol");
});

Deno.test("pages of referrers without end are refused", async () => {
  const { client, sent } = clientOf((url) =>
    new Response('{"schemaVersion":2,"manifests":[]}', {
      headers: {
        "content-type": MEDIA.ociIndex,
        link: `<${url.pathname}?n=1>; rel="next"`,
      },
    })
  );
  const promise = client.referrers(parseReference("r.example/a"), digest);
  assert.equal(await kindOf(promise), "too-large");
  assert.equal(sent.length, 100);
});
