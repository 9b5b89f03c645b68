/**
 * What takes bytes from outside, each with good inputs to begin with and promises that hold for any
 * input: it is taken, or refused with the typed error of its room; and what is taken is consistent.
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import {
  type Checkpoint,
  DeflateError,
  GzipIndexer,
  SpanInflater,
} from "../../lib/formats/deflate/mod.ts";
import { TreeCompileError } from "../../lib/layers/tree/mod.ts";
import { compileTree } from "../../lib/layers/compiler/mod.ts";
import { MANIFEST_ERRORS, type Outcome, taken } from "./outcome.ts";
import {
  parseIndex,
  parseManifest,
  sha256,
} from "../../lib/formats/oci/mod.ts";
import {
  decodeIndex,
  decodePrefetch,
  encodeIndex,
  encodePrefetch,
  makeIndex,
  SociError,
  ztocDescriptor,
} from "../../lib/formats/soci/mod.ts";
import {
  type TarEntry,
  TarError,
  TarWalker,
} from "../../lib/formats/tar/mod.ts";
import {
  decodeCheckpoints,
  decodeFrameSpans,
  decodeTarSpans,
  decodeZtoc,
  encodeTarSpans,
  encodeZtoc,
  spanTable,
  ZtocBuilder,
  type ZtocCompression,
  ZtocError,
} from "../../lib/formats/ztoc/mod.ts";
import { encodeCheckpoints } from "../../lib/formats/ztoc/checkpoints.ts";
import { encodeFrameSpans } from "../../lib/formats/ztoc/frame_spans.ts";
import { ZstdError } from "../../lib/formats/zstd/mod.ts";
import { joinBytes, layerBlob, TarBuilder } from "../support/images/mod.ts";
import { repairGzip, repairTarChecksums } from "./mutate.ts";

/** Something that reads bytes from outside. */
export interface Target {
  readonly name: string;
  /** Good inputs. */
  readonly seeds: () => Uint8Array[];
  /** Makes a changed input reach deeper, now and then. */
  readonly repair?: (bytes: Uint8Array) => Uint8Array;
  /** Reads an input. @throws anything, when a promise is broken. */
  readonly read: (bytes: Uint8Array) => Outcome;
}

const MIB = 2 ** 20;

function sampleTar(format: "pax" | "gnu"): Uint8Array {
  const tar = new TarBuilder({ format })
    .dir("usr", { uid: 3, mtime: { seconds: 1_600_000_000, nanos: 0 } })
    .file("usr/file", "some text, some text, some text\n".repeat(200))
    .file(`usr/${"long/".repeat(40)}name`, "x".repeat(700))
    .symlink("usr/link", "file")
    .hardlink("usr/hard", "usr/file")
    .charDevice("null", { major: 1, minor: 3 })
    .fifo("pipe").whiteout("gone").opaque("usr");
  if (format === "pax") {
    tar.globalPax({ comment: "all" }).file("x", "1", {
      mtime: { seconds: -5, nanos: 250_000_000 },
      xattrs: { "user.a": "b", "security.capability": Uint8Array.of(1, 0, 2) },
    });
  }
  return tar.finish();
}

function built(layer: Uint8Array, compression: ZtocCompression) {
  const builder = new ZtocBuilder({ compression, spanSize: 2048 });
  builder.push(layer);
  return builder.finish().ztoc;
}

const gzipOf = (bytes: Uint8Array, level = 6) =>
  new Uint8Array(gzipSync(bytes, { level }));

function gzipSeeds(): Uint8Array[] {
  const tar = sampleTar("pax");
  return [
    gzipOf(tar),
    gzipOf(tar, 0),
    gzipOf(tar, 1),
    gzipOf(new TextEncoder().encode("short")),
    new Uint8Array([
      ...gzipOf(new Uint8Array(0)),
      ...gzipOf(tar.slice(0, 3000)),
    ]),
    new Uint8Array([...gzipOf(tar.slice(0, 5000)), ...new Uint8Array(600)]),
    Uint8Array.of(
      ...[0x1f, 0x8b, 8, 0x1c, 0, 0, 0, 0, 0, 3, 2, 0, 9, 9],
      ...[0x61, 0, 0x62, 0],
      ...gzipOf(new TextEncoder().encode("named")).subarray(10),
    ),
  ];
}

function readGzip(bytes: Uint8Array): Outcome {
  const checkpoints: Checkpoint[] = [];
  const parts: Uint8Array[] = [];
  let size = 0;
  const indexer = new GzipIndexer({
    spanSize: 1500,
    onOutput: (chunk) => {
      size += chunk.length;
      if (size <= 4 * MIB) parts.push(chunk.slice());
    },
    onCheckpoint: (checkpoint) => {
      if (checkpoints.at(-1)?.out === checkpoint.out) checkpoints.pop();
      if (checkpoints.length < 200) checkpoints.push(checkpoint);
    },
  });
  return taken([DeflateError], () => {
    for (let at = 0; at < bytes.length; at += 997) {
      indexer.push(bytes.subarray(at, at + 997));
    }
    indexer.finish();
    if (size > 4 * MIB) return;
    const output = Buffer.concat(parts);
    assert.ok(
      gunzipSync(bytes).equals(output),
      "zlib inflates it to something else",
    );
    const inflater = new SpanInflater();
    for (const [i, { in: start, out, bits, window }] of checkpoints.entries()) {
      const end = checkpoints[i + 1];
      const span = inflater.inflate(
        bytes.subarray(start - (bits > 0 ? 1 : 0), end?.in),
        bits,
        window,
        (end?.out ?? output.length) - out,
      );
      assert.ok(output.subarray(out, out + span.length).equals(span));
    }
  });
}

function walk(bytes: Uint8Array, chunkBytes: number) {
  const entries: TarEntry[] = [];
  const walker = new TarWalker({ onEntry: (entry) => entries.push(entry) });
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    walker.push(bytes.subarray(at, at + chunkBytes));
  }
  return { entries, ...walker.finish() };
}

function readTar(bytes: Uint8Array): Outcome {
  return taken([TarError], () => {
    const whole = walk(bytes, bytes.length || 1);
    assert.deepEqual(walk(bytes, 331), whole, "chunks make a difference");
    let end = 0;
    for (const { headerOffset, offset, size } of whole.entries) {
      assert.ok(headerOffset >= end && offset >= headerOffset + 512);
      end = Math.ceil((offset + size) / 512) * 512;
    }
  });
}

/** All that the daemon does with a ztoc before it serves a layer. */
function readZtoc(bytes: Uint8Array): Outcome {
  return taken([ZtocError, TreeCompileError], () => {
    const ztoc = decodeZtoc(bytes);
    const again = decodeZtoc(encodeZtoc(ztoc));
    assert.deepEqual(again.spanDigests, ztoc.spanDigests);
    assert.equal(again.entries.length, ztoc.entries.length);
    const spans = spanTable(ztoc);
    compileTree({
      entries: ztoc.entries,
      spanStarts: Float64Array.from(
        { length: spans.count },
        (_, i) => spans.start(i),
      ),
      dataSize: ztoc.uncompressedSize,
    });
  });
}

/** From a layer's bytes to a ztoc that our own reader takes. */
function readLayer(compression: ZtocCompression) {
  return (bytes: Uint8Array): Outcome =>
    taken([DeflateError, TarError, ZtocError, ZstdError], () => {
      const ztoc = built(bytes, compression);
      if (ztoc.uncompressedSize === 0) return; // no tar: nothing to serve
      decodeZtoc(encodeZtoc(ztoc));
    });
}

/** Frames of so many bytes of a tar each. */
function framed(tar: Uint8Array, bytes: number): Uint8Array {
  const count = Math.ceil(tar.length / bytes);
  return joinBytes(
    Array.from(
      { length: count },
      (_, i) => zstdCompressSync(tar.subarray(i * bytes, (i + 1) * bytes)),
    ),
  );
}

function spanSeeds(): Uint8Array[] {
  const raw = gzipOf(sampleTar("gnu")).subarray(10);
  return [0, 3, 7].map((bits) => new Uint8Array([bits, 0, 8, ...raw]));
}

/** The first byte says the bits, the next two how much is wanted. */
function readSpan(bytes: Uint8Array): Outcome {
  if (bytes.length < 3) return "refused";
  const size = (bytes[1]! | bytes[2]! << 8) * 4;
  return taken([DeflateError], () => {
    const span = inflater.inflate(
      bytes.subarray(3),
      bytes[0]! & 7,
      new Uint8Array(32768),
      size,
    );
    assert.equal(span.length, size);
  });
}
const inflater = new SpanInflater();

const DIGEST = sha256(new Uint8Array(0));

function indexSeeds(): Uint8Array[] {
  const layer = {
    digest: DIGEST,
    mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  };
  const ztoc = ztocDescriptor({
    digest: DIGEST,
    size: 5,
    layer,
    spanSizeBytes: 4 * MIB,
  });
  const subject = {
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    digest: DIGEST,
    size: 10,
  };
  return [
    encodeIndex(makeIndex({ layers: [ztoc, ztoc] })),
    encodeIndex(makeIndex({ layers: [ztoc], subject })),
  ];
}

const checkpointBlob = () => {
  const { checkpoints } = built(gzipOf(sampleTar("gnu"), 0), "gzip");
  return new Uint8Array(checkpoints);
};

/** What reads from outside, but for load orders. */
export const TARGETS: readonly Target[] = [
  {
    name: "ztoc",
    seeds: () => [
      encodeZtoc(built(gzipOf(sampleTar("pax")), "gzip")),
      encodeZtoc(built(sampleTar("gnu"), "uncompressed")),
      encodeZtoc(built(sampleTar("pax"), "uncompressed")),
    ],
    read: readZtoc,
  },
  {
    name: "zinfo",
    seeds: () => [
      checkpointBlob(),
      encodeCheckpoints({
        ...decodeCheckpoints(checkpointBlob()),
        version: 1,
      }),
    ],
    read: (bytes) =>
      taken([ZtocError], () => {
        const read = decodeCheckpoints(bytes);
        assert.equal(
          sha256(encodeCheckpoints(read)),
          sha256(bytes),
          "written again it is the same",
        );
      }),
  },
  {
    name: "tar-spans",
    seeds: () => [encodeTarSpans({ spanSize: 4 * MIB, size: 123456789 })],
    read: (bytes) =>
      taken([ZtocError], () => {
        const { spanSize, size } = decodeTarSpans(bytes);
        assert.ok(spanSize >= 1 && size >= 0);
      }),
  },
  {
    name: "index",
    seeds: indexSeeds,
    read: (bytes) =>
      taken([SociError], () => {
        const index = decodeIndex(bytes);
        assert.deepEqual(decodeIndex(encodeIndex(index)).layers, index.layers);
      }),
  },
  {
    name: "manifest",
    seeds: () => [
      ...indexSeeds(),
      new TextEncoder().encode(JSON.stringify({
        schemaVersion: 2,
        manifests: [{
          mediaType: "application/vnd.oci.image.manifest.v1+json",
          digest: DIGEST,
          size: 7,
          platform: { os: "linux", architecture: "arm64", variant: "v8" },
        }],
      })),
    ],
    read: (bytes) => {
      const manifest = taken(MANIFEST_ERRORS, () => void parseManifest(bytes));
      const index = taken(MANIFEST_ERRORS, () => void parseIndex(bytes));
      assert.ok(
        manifest === "refused" || index === "refused",
        "no document is both",
      );
      return manifest === "taken" ? manifest : index;
    },
  },
  {
    name: "prefetch",
    seeds: () => [
      encodePrefetch([{ start: 0, end: 3 }, { start: 7, end: 7, priority: 2 }]),
    ],
    read: (bytes) =>
      taken([SociError], () => {
        for (const { start, end } of decodePrefetch(bytes, 100)) {
          assert.ok(0 <= start && start <= end && end < 100);
        }
      }),
  },
  {
    name: "tar",
    seeds: () => [sampleTar("pax"), sampleTar("gnu")],
    repair: repairTarChecksums,
    read: readTar,
  },
  { name: "gzip", seeds: gzipSeeds, repair: repairGzip, read: readGzip },
  { name: "span", seeds: spanSeeds, read: readSpan },
  {
    name: "gzip-layer",
    seeds: () => [
      ...gzipSeeds(),
      layerBlob(sampleTar("gnu"), { compression: "gzip-multi" }).bytes,
      sampleTar("pax"),
      sampleTar("gnu"),
    ],
    repair: (bytes) =>
      bytes[0] === 0x1f
        ? repairGzip(bytes)
        : gzipOf(repairTarChecksums(bytes), 1),
    read: readLayer("gzip"),
  },
  {
    name: "tar-layer",
    seeds: () => [sampleTar("pax"), sampleTar("gnu")],
    repair: repairTarChecksums,
    read: readLayer("uncompressed"),
  },
  {
    name: "zstd-layer",
    seeds: () => [300, 5000].map((bytes) => framed(sampleTar("gnu"), bytes)),
    read: readLayer("zstd"),
  },
  {
    name: "frame-spans",
    seeds: () => [
      new Uint8Array(built(framed(sampleTar("pax"), 700), "zstd").checkpoints),
    ],
    read: (bytes) =>
      taken([ZtocError], () => {
        const spans = decodeFrameSpans(bytes);
        const writer = encodeFrameSpans(spans);
        const again = new Uint8Array(writer.length);
        writer.write(again);
        assert.deepEqual(again, new Uint8Array(bytes));
      }),
  },
];
