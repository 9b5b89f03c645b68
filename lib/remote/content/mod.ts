/**
 * Places: where images and artifacts are read from and written to.
 *
 * Everything is content under a digest. A {@link LayerSource} gives content, an {@link ImageSource} also
 * says which image is meant, an {@link ArtifactSink} takes content. The index tools use only these
 * three, so each tool works with every place:
 *
 * | place | source | sink |
 * |---|---|---|
 * | a repository of a registry | {@link RegistryPlace} | {@link RegistryPlace} |
 * | containerd's content store | {@link ContainerdPlace} | {@link ContainerdPlace} |
 * | an OCI layout in a folder | {@link openLocalImage} | {@link LayoutFolder} |
 * | an OCI or docker-save archive | {@link openLocalImage} | {@link ArchiveWriter} |
 *
 * It may ask registries and containerd, and read and write the folders and archives it is given. It must
 * not know what content means, except which content a document names: no platforms, no indexes.
 *
 * @example
 * ```ts
 * import { LayoutFolder } from "./mod.ts";
 * import { sha256 } from "../../formats/oci/mod.ts";
 * import assert from "node:assert/strict";
 * const folder = await Deno.makeTempDir();
 * const layout = await LayoutFolder.create(folder);
 * const bytes = new TextEncoder().encode("content");
 * const content = {
 *   mediaType: "application/octet-stream",
 *   digest: sha256(bytes),
 *   size: bytes.length,
 * };
 * assert.equal(await layout.put(content, bytes), "written");
 * assert.deepEqual(await layout.bytes(content), bytes);
 * await Deno.remove(folder, { recursive: true });
 * ```
 * @module
 */
export {
  type ArtifactSink,
  type Cancellable,
  type Content,
  type ContentId,
  type ImageSource,
  type LayerSource,
  type StreamOptions,
} from "./place.ts";
export { ContentError, type ContentErrorKind, isMissing } from "./errors.ts";
export { RegistryPlace } from "./registry.ts";
export { ContainerdPlace, gcLabelOfIndex } from "./containerd.ts";
export { type LocalImageOptions, openLocalImage } from "./local_image.ts";
export { LayoutFolder } from "./layout.ts";
export { ArchiveWriter } from "./archive_writer.ts";
export { both, firstOf } from "./combine.ts";
