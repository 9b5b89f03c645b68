/** What one image's layer led to says nothing about another image's. */
import assert from "node:assert/strict";
import { NotServable } from "../../../../lib/images/lazy/not_servable.ts";
import { IndexingError } from "../../../../lib/layers/builder/mod.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  ImageError,
  type ImageLayer,
} from "../../../../lib/remote/image/mod.ts";

const digestOf = (text: string) => sha256(new TextEncoder().encode(text));
const LAYER: ImageLayer = {
  position: 0,
  descriptor: {
    mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
    digest: digestOf("blob"),
    size: 100,
  },
  diffId: digestOf("tar"),
  chainId: digestOf("tar"),
  parent: "",
};
const HERE = { host: "registry.example", repository: "team/app" };

function broken(reason: IndexingError["reason"]): ImageError {
  const cause = new IndexingError(reason, "no tar");
  return new ImageError("image", LAYER.descriptor.digest, "no", { cause });
}

Deno.test("a layer that cannot be served is remembered for the images that say the same of it, and for no others", () => {
  const notServable = new NotServable();
  const error = broken("unsupported");
  notServable.add(HERE, LAYER, error);
  assert.equal(notServable.of(HERE, { ...LAYER, position: 3 }), error);
  const { descriptor } = LAYER;
  const plain = "application/vnd.oci.image.layer.v1.tar";
  for (
    const [where, layer] of [
      [{ ...HERE, host: "other.example" }, LAYER],
      [{ ...HERE, repository: "team/other" }, LAYER],
      [HERE, { ...LAYER, diffId: digestOf("lie") }],
      [HERE, { ...LAYER, descriptor: { ...descriptor, mediaType: plain } }],
      [HERE, { ...LAYER, descriptor: { ...descriptor, size: 99 } }],
    ] as const
  ) assert.equal(notServable.of(where, layer), null);
});

Deno.test("a failure that may go away is not remembered", () => {
  const notServable = new NotServable();
  for (const error of [broken("damaged"), new Error("connection lost")]) {
    notServable.add(HERE, LAYER, error);
    assert.equal(notServable.of(HERE, LAYER), null);
  }
});
