import type { ArtifactSink, LayerSource } from "../../remote/content/mod.ts";
import { ContentError } from "../../remote/content/mod.ts";
import {
  type Descriptor,
  type Digest,
  isIndexMediaType,
  isManifestMediaType,
  parseIndex,
  parseManifest,
} from "../../formats/oci/mod.ts";
import { sideBySide } from "./side_by_side.ts";

/** How content goes from one place to another. */
export interface PushOptions {
  /** Where content is read. */
  readonly source: LayerSource;
  /** Where it goes; asked first whether it is there. */
  readonly sink: ArtifactSink & LayerSource;
  /** Concurrent uploads; at least 1. */
  readonly concurrency: number;
  /** Aborts the push; a later one resumes where it stopped. */
  readonly signal?: AbortSignal | undefined;
  /** Called before and after the upload of each piece of content. */
  readonly onArtifact?: (
    digest: Digest,
    what: "pushing" | "pushed" | "skipped",
  ) => void;
}

/**
 * Pushes a document and everything it names, in the order dependencies first. Content that the sink has
 * is not sent again. A document that it has is not opened, because it was put after everything it names.
 * A manifest's subject is not pushed: it must be there already.
 * @throws ContentError when the subject is not, or something is missing here
 */
export async function pushTree(
  root: Descriptor,
  options: PushOptions,
): Promise<void> {
  const { source, sink, signal, onArtifact } = options;
  const bytes = await source.bytes(root, { signal });
  if (await sink.has(root, { signal })) {
    await sink.put(root, bytes, { signal }); // completes the list of referrers if an earlier push was interrupted
    onArtifact?.(root.digest, "skipped");
    return;
  }
  if (isIndexMediaType(root.mediaType)) {
    for (const child of parseIndex(bytes, root.mediaType).manifests) {
      if (await isAbsent(child, options)) continue;
      await pushTree(child, options);
    }
  } else {
    const { config, layers, subject } = parseManifest(bytes, root.mediaType);
    if (subject !== undefined && !await sink.has(subject, { signal })) {
      throw new ContentError(
        "not-found",
        sink.place,
        subject.digest,
        "the image is not there, so its index cannot be pushed beside it; push the image first",
      );
    }
    if (subject !== undefined) onArtifact?.(subject.digest, "skipped");
    await pushBlobs([config, ...layers], options);
  }
  onArtifact?.(root.digest, "pushing");
  await sink.put(root, bytes, { signal });
  onArtifact?.(root.digest, "pushed");
}

/**
 * Whether content is missing here: an image of another platform may be named only, and must then be at
 * the registry.
 */
async function isAbsent(
  child: Descriptor,
  { source, sink, signal, onArtifact }: PushOptions,
): Promise<boolean> {
  if (!isManifestMediaType(child.mediaType)) return false;
  if (await source.has(child, { signal })) return false;
  if (!await sink.has(child, { signal })) {
    throw new ContentError(
      "not-found",
      source.place,
      child.digest,
      "this part of the image is neither here nor at the registry; pull all platforms first",
    );
  }
  onArtifact?.(child.digest, "skipped");
  return true;
}

async function pushBlobs(
  blobs: readonly Descriptor[],
  { source, sink, concurrency, signal, onArtifact }: PushOptions,
): Promise<void> {
  const unique = new Map(blobs.map((blob) => [blob.digest, blob]));
  const next = unique.values();
  const stop = new AbortController();
  const both = signal === undefined
    ? stop.signal
    : AbortSignal.any([signal, stop.signal]);
  const work = async () => {
    for (const blob of next) {
      both.throwIfAborted();
      if (await sink.has(blob, { signal: both })) {
        onArtifact?.(blob.digest, "skipped");
        continue;
      }
      onArtifact?.(blob.digest, "pushing");
      await sink.put(blob, () => source.stream(blob, { signal: both }), {
        signal: both,
      });
      onArtifact?.(blob.digest, "pushed");
    }
  };
  await sideBySide(concurrency, stop, work);
}
