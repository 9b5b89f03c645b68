import type { Descriptor } from "../../formats/oci/mod.ts";

/** A call that can be aborted. */
export interface Cancellable {
  /** Aborts the call, which then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Which part of some content to read. */
export interface StreamOptions extends Cancellable {
  /** First byte. Default 0. */
  readonly offset?: number | undefined;
  /** Bytes from there on. Default: to the end. */
  readonly length?: number | undefined;
}

/** What identifies content; its media type tells registries where to look. */
export type ContentId = Pick<Descriptor, "mediaType" | "digest" | "size">;

/**
 * A place that content is read from by digest: manifests, configs, layers, ztocs.
 *
 * Content under a digest never changes. `bytes` checks the content; `stream` leaves that to its reader,
 * which sees all bytes anyway. Reading makes no copy on disk.
 */
export interface LayerSource {
  /** The place as a person would name it, for messages. */
  readonly place: string;
  /** Whether the content is here. */
  has(content: ContentId, options?: Cancellable): Promise<boolean>;
  /**
   * Small content as a whole, its size and digest checked.
   * @throws an error that {@link isMissing} knows; ContentError and the place's own errors
   */
  bytes(content: ContentId, options?: Cancellable): Promise<Uint8Array>;
  /**
   * Content piece by piece, not checked. Cancel the stream if you do not read it to its end.
   * @throws as `bytes`, also while it is read
   */
  stream(
    content: ContentId,
    options?: StreamOptions,
  ): Promise<ReadableStream<Uint8Array>>;
}

/** A source that stands for one image. */
export interface ImageSource extends LayerSource {
  /** The image's name where it has one: `registry.example/app:1`. */
  readonly imageName: string | null;
  /**
   * What the name stands for: an image index, or the manifest of one image.
   * @throws an error that {@link isMissing} knows when there is no such image
   */
  image(options?: Cancellable): Promise<Descriptor>;
}

/** Content to store: all of it, or a way to read it, which may be used more than once. */
export type Content =
  | Uint8Array
  | (() => Promise<ReadableStream<Uint8Array>>);

/**
 * A place that content is written to.
 *
 * Put content before the documents that name it: layers and ztocs, then manifests, then indexes, then
 * names. Content becomes visible only when it is complete and checked. A put that fails or is aborted
 * leaves nothing behind that could disturb a later one.
 */
export interface ArtifactSink {
  /** The place as a person would name it, for messages. */
  readonly place: string;
  /**
   * Stores content.
   * @returns `present` when it was there already.
   * @throws ContentError `integrity` when the bytes do not match the descriptor
   */
  put(
    descriptor: Descriptor,
    content: Content,
    options?: Cancellable,
  ): Promise<"written" | "present">;
  /** Gives a name to a manifest or index; null if the place keeps it without a name. */
  tag(
    descriptor: Descriptor,
    name: string | null,
    options?: Cancellable,
  ): Promise<void>;
}

/** The largest content that `bytes` returns: the largest ztoc. */
export const MAX_BYTES = 256 * 2 ** 20;
