import { parseDigest } from "../../formats/oci/mod.ts";
import type { Descriptor } from "../../formats/oci/mod.ts";
import type { CallOptions, RpcChannel } from "./channel.ts";
import { isRpcError } from "../containerd_words/mod.ts";
import {
  type Image,
  Images,
} from "./gen/containerd/services/images/v1/images_pb.ts";
import { fromWireDescriptor, toWireDescriptor } from "./wire.ts";

/** A name in containerd and what it stands for. */
export interface ImageRecord {
  /** As containerd has it: `docker.io/library/redis:7`. */
  readonly name: string;
  /** The image's index or manifest. */
  readonly target: Descriptor;
  /** What others have noted of the image. */
  readonly labels: Readonly<Record<string, string>>;
}

/** containerd's names for images. */
export class ImagesClient {
  readonly #channel: RpcChannel;

  /** Names of the channel's namespace. @param channel stays the caller's. */
  constructor(channel: RpcChannel) {
    this.#channel = channel;
  }

  /** What a name stands for. @throws ContainerdError `NOT_FOUND` when there is no such name. */
  async get(name: string, options?: CallOptions): Promise<ImageRecord> {
    const { image } = await this.#channel.unary(
      Images.method.get,
      { name },
      options,
    );
    return imageRecord(image, name);
  }

  /** Images that pass one of the filters (containerd's filter language); all when none is given. */
  async list(
    filters: readonly string[] = [],
    options?: CallOptions,
  ): Promise<ImageRecord[]> {
    const { images } = await this.#channel.unary(
      Images.method.list,
      { filters: [...filters] },
      options,
    );
    return images.map((image) => imageRecord(image, image.name));
  }

  /** Names an image, or points an existing name at another one. */
  async put(record: ImageRecord, options?: CallOptions): Promise<void> {
    const image = {
      name: record.name,
      labels: { ...record.labels },
      target: toWireDescriptor(record.target),
    };
    try {
      await this.#channel.unary(Images.method.create, { image }, options);
    } catch (error) {
      if (!isRpcError(error, "ALREADY_EXISTS")) throw error;
      await this.#channel.unary(Images.method.update, { image }, options);
    }
  }

  /** Removes a name. With `collect`, waits until containerd has collected what only it held. */
  async delete(
    name: string,
    options: CallOptions & { readonly collect?: boolean } = {},
  ): Promise<void> {
    await this.#channel.unary(
      Images.method.delete,
      { name, sync: options.collect ?? false },
      options,
    );
  }
}

function imageRecord(image: Image | undefined, name: string): ImageRecord {
  if (image?.target === undefined) {
    throw new Error(`containerd's image ${name} has no target`);
  }
  parseDigest(image.target.digest);
  return {
    name,
    target: fromWireDescriptor(image.target),
    labels: image.labels,
  };
}
