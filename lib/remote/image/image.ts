import {
  type Descriptor,
  type Digest,
  type ImageManifest,
  parseManifest,
  type Platform,
} from "../../formats/oci/mod.ts";
import type { LayerSource } from "../content/mod.ts";
import { chainIdOf } from "./chain.ts";
import { type ImageConfig, readConfig } from "./config.ts";
import { ImageError } from "./errors.ts";

/** A manifest or index: what points to it, and its bytes. */
export interface Document {
  /** With the media type its place or its parent gave it. */
  readonly descriptor: Descriptor;
  /** As they were read. */
  readonly bytes: Uint8Array;
}

/** One layer of an image, at its place among the others. */
export interface ImageLayer {
  /** Of the manifest's layers, from 0 at the bottom. The same blob may stand at several. */
  readonly position: number;
  /** Of the blob. */
  readonly descriptor: Descriptor;
  /** Digest of the blob's uncompressed tar. */
  readonly diffId: Digest;
  /** Of this layer and all below it. */
  readonly chainId: Digest;
  /** Chain ID of what is below; empty at the bottom. */
  readonly parent: Digest | "";
}

/**
 * One image of one platform, at a place. Its manifest and its config are read once, the config when it
 * is first needed.
 */
export class Image implements Document {
  /** What the bytes say. */
  readonly manifest: ImageManifest;
  /** Of the manifest. */
  readonly descriptor: Descriptor;
  /** The manifest as it was read. */
  readonly bytes: Uint8Array;
  #config: Promise<ImageConfig> | null = null;
  #platform: Platform | null;

  private constructor(
    /** Where it is. */
    readonly source: LayerSource,
    /** As a person would name it, for messages. */
    readonly name: string,
    { descriptor, bytes }: Document,
  ) {
    this.descriptor = descriptor;
    this.bytes = bytes;
    this.manifest = parseManifest(bytes, descriptor.mediaType);
    this.#platform = descriptor.platform ?? null;
  }

  /**
   * An image whose manifest was read. Reads the config too where nothing else tells the platform.
   * @throws ManifestError and the source's errors
   */
  static async of(
    source: LayerSource,
    name: string,
    manifest: Document,
    signal?: AbortSignal,
  ): Promise<Image> {
    const image = new Image(source, name, manifest);
    image.#platform ??= (await image.config(signal)).platform;
    return image;
  }

  /** From the index above, else from the config; null where neither says. */
  get platform(): Platform | null {
    return this.#platform;
  }

  /** What the config says. @throws the source's errors; asked again, it is read again */
  config(signal?: AbortSignal): Promise<ImageConfig> {
    this.#config ??= readConfig(this.source, this.manifest.config, signal)
      .catch((error) => {
        this.#config = null;
        throw error;
      });
    return this.#config;
  }

  /**
   * The layers with what the config says of them, bottom first.
   * @throws ImageError when it does not fit the manifest; the source's errors
   */
  async layers(signal?: AbortSignal): Promise<readonly ImageLayer[]> {
    const { diffIds, bytes } = await this.config(signal);
    const { config, layers } = this.manifest;
    if (diffIds === null) {
      throw this.#unfit(
        bytes === null
          ? `has ${config.size} bytes, too many to be looked at`
          : "lists no diff IDs",
      );
    }
    if (diffIds.length !== layers.length) {
      throw this.#unfit(
        `lists ${diffIds.length} diff IDs for ${layers.length} layers`,
      );
    }
    const known = new Map<Digest, Digest>();
    let parent: Digest | "" = "";
    return layers.map((descriptor, position) => {
      const diffId = diffIds[position] as Digest;
      // One blob has one content. Two diff IDs for one blob would pass one content off as another.
      if (known.getOrInsert(descriptor.digest, diffId) !== diffId) {
        throw this.#unfit(`gives layer ${descriptor.digest} two diff IDs`);
      }
      const chainId = chainIdOf(parent, diffId);
      const layer = { position, descriptor, diffId, chainId, parent };
      parent = chainId;
      return layer;
    });
  }

  #unfit(why: string): ImageError {
    return new ImageError(this.name, null, `its configuration ${why}`);
  }
}
