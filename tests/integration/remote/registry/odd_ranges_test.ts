import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import { noise } from "../../../support/registry/mod.ts";
import { fails, readPart, type Scene, scene } from "./helpers.ts";

const LARGE = noise(3_000_000, 3);
const PART = [2_000_000, 2_000_100] as const;

/** What a request asks for; null: the whole blob. */
type Asked = { readonly start: number; readonly end: number } | null;

/** A scene whose blob is served in a way of its own. */
function serving(
  s: Scene,
  answer: (asked: Asked, bytes: Uint8Array<ArrayBuffer>) => Response,
  bytes = LARGE,
): Scene {
  const blob = s.registry.addBlob("team/app", bytes);
  s.registry.intercept = (path, { method, headers }) => {
    if (!path.includes("/blobs/") || method !== "GET") return null;
    const range = /bytes=(\d+)-(\d+)/.exec(headers.get("range") ?? "");
    const asked = range === null
      ? null
      : { start: Number(range[1]), end: Number(range[2]) + 1 };
    return answer(asked, bytes);
  };
  return { ...s, blob, bytes };
}

const contentRange = (start: number, end: number, size: number) => ({
  "content-range": `bytes ${start}-${end - 1}/${size}`,
});

/** Expects that the whole blob is asked for, and then no part any more. */
async function givesNoParts(s: Scene): Promise<void> {
  const { registry, client, reference, blob, bytes } = s;
  await fails("range", readPart(s, ...PART));
  await client.blobBytes(reference, blob, { maxBytes: bytes.length });
  const { length } = registry.requests;
  await fails("range", readPart(s, ...PART));
  assert.equal(registry.requests.length, length);
}

for (const status of [200, 206]) {
  scene(
    `the whole of a large blob as a part of it (${status}) is no part`,
    {},
    async (s) => {
      await givesNoParts(serving(s, (_, bytes) =>
        new Response(bytes, {
          status,
          headers: contentRange(0, bytes.length, bytes.length),
        })));
      assert.equal(s.registry.requests.length, 2);
    },
  );
}

scene("the whole of a small blob may be a proxy's block", {}, async (s) => {
  const small = serving(s, (_, bytes) =>
    new Response(bytes, {
      status: 206,
      headers: contentRange(0, bytes.length, bytes.length),
    }), s.bytes);
  await readPart(small, 1000, 2000);
});

scene("the whole of a blob labelled as a part is no part", {}, async (s) => {
  await givesNoParts(
    serving(
      s,
      (asked, bytes) =>
        asked === null ? new Response(bytes) : new Response(bytes, {
          status: 206,
          headers: {
            "content-length": String(bytes.length),
            ...contentRange(asked.start, asked.end, bytes.length),
          },
        }),
    ),
  );
});

scene("a multipart answer is no part, whatever its label", {}, async (s) => {
  await givesNoParts(
    serving(
      s,
      (asked, bytes) =>
        asked === null ? new Response(bytes) : new Response(
          new Blob([
            "--b\r\n\r\n",
            bytes.subarray(asked.start, asked.end),
            "--b--",
          ]),
          {
            status: 206,
            headers: {
              "content-type": "Multipart/ByteRanges; boundary=b",
              ...contentRange(asked.start, asked.end, bytes.length),
            },
          },
        ),
    ),
  );
});

scene("a part whose place is not said is no part", {}, async (s) => {
  await givesNoParts(
    serving(
      s,
      (asked, bytes) =>
        asked === null ? new Response(bytes) : new Response(
          bytes.subarray(asked.start, asked.end),
          {
            status: 206,
            headers: { "content-range": `bytes */${bytes.length}` },
          },
        ),
    ),
  );
});

for (
  const form of [
    "bytes FROM-TO/*",
    "bytes FROM-TO/5",
    "bytes FROM-TO",
    "BYTES FROM - TO / SIZE",
    "bytes=FROM-TO/SIZE",
    "bytes: FROM-TO/SIZE",
    "FROM-TO/SIZE",
  ]
) {
  scene(`a part is taken that is labelled "${form}"`, {}, async (s) => {
    const odd = serving(
      s,
      (asked, bytes) =>
        new Response(bytes.subarray(asked!.start, asked!.end), {
          status: 206,
          headers: {
            "content-range": form.replace("FROM", String(asked!.start))
              .replace("TO", String(asked!.end - 1))
              .replace("SIZE", String(bytes.length)),
          },
        }),
    );
    await readPart(odd, ...PART);
    assert.equal(s.registry.requests.length, 1);
  });
}

for (const status of [204, 500, 502]) {
  scene(
    `a place that fails on parts alone (${status}) gives none`,
    {},
    async (s) => {
      await givesNoParts(
        serving(
          s,
          (asked, bytes) =>
            asked === null
              ? new Response(bytes)
              : new Response(null, { status }),
        ),
      );
    },
  );
}

for (const status of [500, 502, 503]) {
  scene(
    `a place that gave parts and then fails (${status}) is not one without`,
    {},
    async (s) => {
      await readPart(s, 0, 10);
      s.registry.faults.add({ kind: "status", status, times: 4 });
      await fails("unavailable", readPart(s, 1000, 2000));
      await readPart(s, 1000, 2000);
    },
  );
}

scene(
  "a whole blob may come as a part of that size, or by a proxy's 203",
  {},
  async (s) => {
    for (const status of [203, 206]) {
      const { client, reference, blob } = serving(
        s,
        (_, bytes) =>
          new Response(bytes, {
            status,
            headers: status === 206
              ? contentRange(0, bytes.length, bytes.length)
              : {},
          }),
      );
      await client.blobBytes(reference, blob, { maxBytes: LARGE.length });
    }
  },
);

scene("a later part is not taken for the whole blob", {}, async (s) => {
  const { client, reference, blob } = serving(
    s,
    (_, bytes) =>
      new Response(bytes, {
        status: 206,
        headers: contentRange(10, bytes.length + 10, bytes.length + 10),
      }),
  );
  await fails(
    "integrity",
    client.blobBytes(reference, blob, { maxBytes: 4e6 }),
  );
});

const gzipped = (bytes: Uint8Array<ArrayBuffer>) =>
  new Response(
    new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip")),
  ).bytes();
const ZEROES = new Uint8Array(2_500_000);

for (const sent of ["in pieces", "with its length"]) {
  scene(
    `a blob compressed on its way, sent ${sent}, is read`,
    {},
    async (s) => {
      const { client, reference } = s;
      const packed = await gzipped(ZEROES);
      const odd = serving(s, () =>
        new Response(
          sent === "in pieces" ? ReadableStream.from([packed]) : packed,
          { headers: { "content-encoding": "gzip" } },
        ), ZEROES);
      await givesNoParts(odd);
      const stream = await client.blob(reference, odd.blob, { offset: 1000 });
      const { length } = await new Response(stream).bytes();
      assert.equal(length, ZEROES.length - 1000);
    },
  );
}

scene(
  "a blob labelled with its own compression is read as it is",
  {},
  async (s) => {
    const packed = await gzipped(LARGE);
    const odd = serving(s, (asked, bytes) =>
      new Response(
        asked === null ? bytes : bytes.subarray(asked.start, asked.end),
        {
          status: asked === null ? 200 : 206,
          headers: {
            "content-encoding": "gzip",
            ...(asked !== null &&
              contentRange(asked.start, asked.end, bytes.length)),
          },
        },
      ), packed);
    await readPart(odd, ...PART);
    const { client, reference, blob } = odd;
    for (const offset of [0, 1000]) {
      const stream = await client.blob(reference, blob, { offset });
      const bytes = await new Response(stream).bytes();
      assert.equal(sha256(bytes), sha256(packed.subarray(offset)));
    }
  },
);

scene(
  "a blob that grows on without end when unpacked is left",
  {},
  async (s) => {
    const packed = await gzipped(new Uint8Array(50_000_000));
    const { client, reference, blob } = serving(
      s,
      () => new Response(packed, { headers: { "content-encoding": "gzip" } }),
      ZEROES,
    );
    await fails(
      "integrity",
      client.blobBytes(reference, blob, { maxBytes: 3e6 }),
    );
  },
);
