import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import { parseReference } from "../../../../lib/remote/registry/mod.ts";
import { noise, streamOf } from "../../../support/registry/mod.ts";
import { fails, type Scene, scene } from "./helpers.ts";
import { staticCredentials } from "../../../support/registry/static_credentials.ts";

const BYTES = noise(20_000_000, 9);
const BLOB = { digest: sha256(BYTES), size: BYTES.length };
const SOURCES = [
  ["bytes", BYTES],
  ["a stream", () => streamOf(BYTES)],
] as const;

/** Refuses requests of uploads. */
function refuse(
  { registry }: Scene,
  refused: (request: Request) => boolean,
  status: number,
) {
  registry.intercept = async (path, request) => {
    if (!path.includes("/blobs/uploads/") || !refused(request)) return null;
    await request.body?.cancel();
    return new Response(null, { status });
  };
}

for (const [kind, source] of SOURCES) {
  for (const status of [400, 404, 405, 411, 413, 415, 416, 501]) {
    scene(
      `${kind} are pushed by PATCH where PUT takes none (${status})`,
      {},
      async (s) => {
        refuse(
          s,
          ({ method, headers }) =>
            method === "PUT" && headers.get("content-length") !== "0",
          status,
        );
        await s.client.pushBlob(s.reference, BLOB, source);
        assert.ok(await s.client.hasBlob(s.reference, BLOB.digest));
      },
    );
  }

  scene(
    `${kind} are pushed in chunks where PATCH wants a place and a length`,
    {},
    async (s) => {
      const places: string[] = [];
      refuse(s, ({ method, headers }) => {
        const place = headers.get("content-range");
        if (method === "PATCH" && place !== null) places.push(place);
        return (method === "PATCH" && place === null) ||
          (method === "PUT" && headers.get("content-length") !== "0");
      }, 411);
      await s.client.pushBlob(s.reference, BLOB, source);
      assert.ok(await s.client.hasBlob(s.reference, BLOB.digest));
      assert.deepEqual(places, [
        "0-8388607",
        "8388608-16777215",
        "16777216-19999999",
      ]);
    },
  );

  scene(`${kind} are pushed by PUT where there is no PATCH`, {}, async (s) => {
    refuse(s, ({ method }) => method === "PATCH", 405);
    await s.client.pushBlob(s.reference, BLOB, source);
    assert.ok(await s.client.hasBlob(s.reference, BLOB.digest));
  });

  scene(`${kind} that nothing takes are an error, told once`, {}, async (s) => {
    refuse(s, ({ method }) => method !== "POST", 405);
    const error = await fails(
      "protocol",
      s.client.pushBlob(s.reference, BLOB, source),
    );
    assert.equal(error.status, 405);
  });
}

scene("chunks are as large as the registry asks for", {}, async (s) => {
  const { registry, client, reference } = s;
  const sizes: number[] = [];
  registry.intercept = async (path, request) => {
    if (!path.includes("/blobs/uploads/")) return null;
    const { method, headers } = request;
    const length = Number(headers.get("content-length") ?? -1);
    if (method === "POST") {
      const { id } = registry.store.startUpload("team/app");
      return new Response(null, {
        status: 202,
        headers: {
          location: `/v2/team/app/blobs/uploads/${id}`,
          "oci-chunk-min-length": "10000000",
        },
      });
    }
    const whole = length < 0 || length === BYTES.length;
    if (whole) {
      await request.body?.cancel();
      return new Response(null, { status: 413 });
    }
    if (method === "PATCH") sizes.push(length);
    return null;
  };
  await client.pushBlob(reference, BLOB, BYTES);
  assert.deepEqual(sizes, [10_000_000, 10_000_000]);
});

for (const status of [200, 201, 202, 204]) {
  scene(
    `uploads are taken for well where each step is answered ${status}`,
    {},
    async (s) => {
      const { registry, client, reference } = s;
      const bytes = new Uint8Array(10);
      const blob = { digest: sha256(bytes), size: 10 };
      let at = "";
      registry.intercept = (path, { method }) => {
        if (!path.includes("/blobs/uploads/")) return null;
        at += `${method} `;
        return new Response(null, {
          status,
          headers: method === "POST" ? { location: "up" } : {},
        });
      };
      await client.pushBlob(reference, blob, () => streamOf(bytes));
      assert.equal(at, "POST PATCH PUT ");
    },
  );
}

scene("an upload is sent on where it is redirected, its login is not", {
  registry: { auth: { kind: "basic", username: "a", password: "b" } },
  client: { credentials: staticCredentials("a", "b") },
}, async (s) => {
  const { registry, client, reference } = s;
  const got: (string | null)[] = [];
  await using store = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    async (request) => {
      got.push(request.headers.get("authorization"));
      got.push(String((await request.bytes()).length));
      return new Response(null, { status: 201 });
    },
  );
  registry.intercept = (_, { method }) =>
    method === "PUT"
      ? new Response(null, {
        status: 307,
        headers: { location: `http://127.0.0.1:${store.addr.port}/up` },
      })
      : null;
  const bytes = new Uint8Array(10);
  await client.pushBlob(
    reference,
    { digest: sha256(bytes), size: 10 },
    bytes,
  );
  assert.deepEqual(got, [null, "10"]);
});

for (const status of [200, 204, 400, 401, 403, 404, 405, 409, 415, 422, 500]) {
  scene(
    `a mount answered by ${status} leaves the blob to be uploaded`,
    {},
    async (s) => {
      const { registry, client, blob } = s;
      const other = parseReference(`${registry.host}/team/other`);
      let asked = 0;
      registry.intercept = (path, request) => {
        if (!path.includes("/blobs/uploads/")) return null;
        if (!request.url.includes("mount=")) return null;
        asked++;
        return new Response(null, { status });
      };
      assert.equal(await client.mount(other, blob.digest, "team/app"), false);
      assert.ok(asked <= 2, `asked ${asked} times`);
    },
  );
}

scene(
  "a mount whose other repository may not be read leaves the blob to be uploaded",
  {
    registry: {
      auth: { kind: "bearer", username: "a", password: "b" },
    },
    client: { credentials: staticCredentials("a", "b") },
  },
  async (s) => {
    const { registry, client, blob } = s;
    const other = parseReference(`${registry.host}/team/other`);
    registry.intercept = (path, request) =>
      path === "/token" && request.url.includes("team%2Fapp")
        ? new Response(null, { status: 403 })
        : null;
    assert.equal(await client.mount(other, blob.digest, "team/app"), false);
  },
);

for (const status of [400, 404, 406, 409, 500]) {
  for (const [kind, refused] of [["PUT", "PUT"], ["PATCH", "PATCH"]] as const) {
    scene(
      `a blob is pushed where ${kind} ignores its body and answers ${status}`,
      {},
      async (s) => {
        const { registry, client, reference } = s;
        const bytes = new Uint8Array(10);
        const blob = { digest: sha256(bytes), size: 10 };
        registry.intercept = async (path, request) => {
          const length = request.headers.get("content-length");
          if (
            !path.includes("/blobs/uploads/") || request.method !== refused ||
            length === "0"
          ) return null;
          await request.body?.cancel();
          return Response.json({ errors: [{ code: "DIGEST_INVALID" }] }, {
            status,
          });
        };
        const source = kind === "PUT" ? bytes : () => streamOf(bytes);
        await client.pushBlob(reference, blob, source);
        registry.intercept = null;
        assert.ok(await client.hasBlob(reference, blob.digest));
      },
    );
  }
}

scene("a repository that takes no pushes is asked once", {}, async (s) => {
  const { registry, client, reference } = s;
  const bytes = new Uint8Array(10);
  let asked = 0;
  registry.intercept = (path) => {
    if (!path.includes("/blobs/uploads/")) return null;
    asked++;
    return new Response(null, { status: 403 });
  };
  const blob = { digest: sha256(bytes), size: 10 };
  await fails("forbidden", client.pushBlob(reference, blob, bytes));
  assert.equal(asked, 1);
});
