/**
 * What every place promises, as suites that each implementation has to pass: `sourceSuite` for
 * `LayerSource` and `ImageSource`, `sinkSuite` for `ArtifactSink`. @module
 */
import assert from "node:assert/strict";
import {
  type ArtifactSink,
  ContentError,
  type ImageSource,
  isMissing,
  type LayerSource,
} from "../../../../lib/remote/content/mod.ts";
import {
  type Descriptor,
  MEDIA,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import {
  type Image,
  imageIndex,
  incompressible,
  layerBlob,
  makeImage,
  TarBuilder,
} from "../../../support/images/mod.ts";

const MiB = 2 ** 20;

/** The image that sources are made of: two layers, one of several reads. */
export function sampleImage(): Image {
  return makeImage({
    layers: [
      layerBlob(new TarBuilder().file("a", incompressible(3 * MiB, 5))),
      layerBlob(new TarBuilder().file("b", "small")),
    ],
  });
}

export const SAMPLE = sampleImage();
export const SAMPLE_INDEX = imageIndex([SAMPLE]);

/** The descriptor of bytes. */
export function descriptorOf(
  bytes: Uint8Array,
  mediaType: string = MEDIA.octetStream,
): Descriptor {
  return { mediaType, digest: sha256(bytes), size: bytes.length };
}

/** The descriptors of an image's layers. */
export function layersOf(image: Image): Descriptor[] {
  return image.layers.map(({ digest, bytes }) => ({
    mediaType: MEDIA.ociLayerGzip,
    digest,
    size: bytes.length,
  }));
}

export async function readAll(
  stream: ReadableStream<Uint8Array>,
): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

type Open<T> = () => Promise<T & AsyncDisposable>;

/** @param open a source that holds {@link SAMPLE} and stands for it. */
export function sourceSuite(name: string, open: Open<{ source: ImageSource }>) {
  const promise = (
    text: string,
    body: (source: ImageSource) => Promise<void>,
  ) =>
    Deno.test(`${name}: ${text}`, async () => {
      await using opened = await open();
      await body(opened.source);
    });
  const [large, small] = layersOf(SAMPLE) as [Descriptor, Descriptor];
  const absent = descriptorOf(new TextEncoder().encode("absent"));

  promise("a source says which image it stands for", async (source) => {
    const { digest } = await source.image();
    assert.equal(digest, SAMPLE.digest);
  });

  promise("a source gives manifests, configs and layers", async (source) => {
    const { mediaType, digest, size } = SAMPLE.descriptor;
    const manifest = await source.bytes({ mediaType, digest, size });
    assert.deepEqual([...manifest], [...SAMPLE.manifest]);
    const config = descriptorOf(SAMPLE.config, MEDIA.ociConfig);
    assert.deepEqual([...await source.bytes(config)], [...SAMPLE.config]);
    const layer = await readAll(await source.stream(large));
    assert.equal(sha256(layer), large.digest);
  });

  promise("a source gives a part of a layer", async (source) => {
    const whole = SAMPLE.layers[0]!.bytes;
    for (
      const [offset, length] of [[0, 10], [MiB, 300_000], [large.size - 7, 7]]
    ) {
      const part = await source.stream(large, { offset, length });
      assert.deepEqual(
        await readAll(part),
        new Uint8Array(whole.subarray(offset!, offset! + length!)),
      );
    }
    const rest = await source.stream(large, { offset: large.size - 5 });
    assert.equal((await readAll(rest)).length, 5);
  });

  promise("a source knows what it has and what it lacks", async (source) => {
    assert.equal(await source.has(small), true);
    assert.equal(await source.has(SAMPLE.descriptor), true);
    assert.equal(await source.has(absent), false);
  });

  promise("what is missing is told as missing", async (source) => {
    await assert.rejects(source.bytes(absent), isMissing);
    await assert.rejects(async () => {
      await readAll(await source.stream(absent));
    }, isMissing);
    const manifest = descriptorOf(
      new TextEncoder().encode("{}"),
      MEDIA.ociManifest,
    );
    assert.equal(await source.has(manifest), false);
    await assert.rejects(source.bytes(manifest), isMissing);
  });

  promise("content of another size is not given out", async (source) => {
    const lie = { ...small, size: small.size - 1 };
    await assert.rejects(source.bytes(lie), /bytes|longer|range|size/);
  });

  promise(
    "a stream can be left early and a source asked again",
    async (source) => {
      const stream = await source.stream(large);
      const reader = stream.getReader();
      const { value } = await reader.read();
      assert.ok(value!.length > 0 && value!.length < large.size);
      await reader.cancel();
      assert.equal(
        sha256(await readAll(await source.stream(large))),
        large.digest,
      );
    },
  );

  promise("an aborted stream ends with its reason", async (source) => {
    const stop = new AbortController();
    const stream = await source.stream(large, { signal: stop.signal });
    const reader = stream.getReader();
    await reader.read();
    stop.abort(new Error("enough"));
    await assert.rejects(async () => {
      while (!(await reader.read()).done);
    });
  });
}

/** A sink, and how what it took is read again (after it was finished, where it is to be). */
export interface OpenedSink {
  readonly sink: ArtifactSink;
  readonly read: () => Promise<LayerSource>;
  /** What a name stands for; null where there is no such name. */
  readonly named: (name: string) => Promise<Descriptor | null>;
  /** Whether puts are checked at once; else when the sink is finished. */
  readonly checks: "at once" | "when finished";
}

/** Puts {@link SAMPLE} with all its content. */
export async function putSample(sink: ArtifactSink): Promise<void> {
  const config = descriptorOf(SAMPLE.config, MEDIA.ociConfig);
  await sink.put(config, SAMPLE.config);
  for (const [i, layer] of layersOf(SAMPLE).entries()) {
    const { bytes } = SAMPLE.layers[i]!;
    await sink.put(
      layer,
      () =>
        Promise.resolve(
          ReadableStream.from([bytes.subarray(0, 9), bytes.subarray(9)]),
        ),
    );
  }
  await sink.put(SAMPLE.descriptor, SAMPLE.manifest);
  await sink.put(SAMPLE_INDEX.descriptor, SAMPLE_INDEX.manifest);
}

/** @param open an empty sink. */
export function sinkSuite(name: string, open: Open<OpenedSink>) {
  const promise = (text: string, body: (sink: OpenedSink) => Promise<void>) =>
    Deno.test(`${name}: ${text}`, async () => {
      await using opened = await open();
      await body(opened);
    });
  const bytes = incompressible(100_000, 9);
  const blob = descriptorOf(bytes);

  promise("what is put reads the same", async ({ sink, read }) => {
    await putSample(sink);
    await sink.tag(SAMPLE_INDEX.descriptor, "latest");
    const source = await read();
    for (const layer of layersOf(SAMPLE)) {
      assert.equal(
        sha256(await readAll(await source.stream(layer))),
        layer.digest,
      );
    }
    assert.deepEqual(
      [...await source.bytes(SAMPLE.descriptor)],
      [...SAMPLE.manifest],
    );
    assert.deepEqual(
      [...await source.bytes(SAMPLE_INDEX.descriptor)],
      [...SAMPLE_INDEX.manifest],
    );
  });

  promise("what is there already is not written again", async ({ sink }) => {
    assert.equal(await sink.put(blob, bytes), "written");
    assert.equal(await sink.put(blob, bytes), "present");
  });

  promise("a name stands for what it was given last", async (opened) => {
    const { sink, read, named } = opened;
    await putSample(sink);
    await sink.tag(SAMPLE_INDEX.descriptor, "latest");
    await read();
    const found = await named("latest");
    assert.equal(found?.digest, SAMPLE_INDEX.digest);
  });

  promise("bytes of another digest or size leave nothing", async (opened) => {
    const { sink, read, checks } = opened;
    const other = bytes.slice();
    other[5]! ^= 1;
    const longer = new Uint8Array(bytes.length + 1);
    await assert.rejects(sink.put(blob, other), ContentError);
    await assert.rejects(sink.put(blob, bytes.subarray(1)));
    if (checks === "at once") {
      for (const wrong of [other, longer, bytes.subarray(1)]) {
        await assert.rejects(
          sink.put(blob, () => Promise.resolve(ReadableStream.from([wrong]))),
        );
      }
      assert.equal(await (await read()).has(blob), false);
      assert.equal(await sink.put(blob, bytes), "written");
      assert.deepEqual(
        new Uint8Array(await (await read()).bytes(blob)),
        bytes,
      );
    } else {
      await sink.put(
        blob,
        () => Promise.resolve(ReadableStream.from([other])),
      );
      await assert.rejects(read(), ContentError);
    }
  });

  promise("a put that is cut short can be done again", async (opened) => {
    const { sink, read, checks } = opened;
    const broken = () =>
      Promise.resolve(
        new ReadableStream<Uint8Array>({
          start: (controller) => controller.enqueue(bytes.subarray(0, 40_000)),
          pull: (controller) => controller.error(new Error("cut")),
        }, { highWaterMark: 0 }),
      );
    if (checks === "at once") {
      await assert.rejects(sink.put(blob, broken));
      assert.equal(await (await read()).has(blob), false);
      assert.equal(await sink.put(blob, bytes), "written");
    } else {
      await sink.put(blob, broken);
      await assert.rejects(read(), /cut/);
    }
  });
}
