import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import { streamBlob } from "./blob_stream.ts";
import type { CallOptions, DuplexCall, RpcChannel } from "./channel.ts";
import { isRpcError } from "../containerd_words/mod.ts";
import {
  Content,
  type Info,
  WriteAction,
  type WriteContentRequestSchema,
  type WriteContentResponse,
} from "./gen/containerd/services/content/v1/content_pb.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";

/** Bytes in one write: well below containerd's limit for a message, large enough to be cheap. */
const WRITE_BYTES = 1024 * 1024;

/** Blobs of so many bytes are worth a connection of their own. */
const STREAM_BYTES = 2 ** 20;

/** What containerd knows about a blob. */
export interface ContentInfo {
  /** As containerd has it; not checked, and maybe of another algorithm. */
  readonly digest: string;
  /** Bytes of the blob. */
  readonly sizeBytes: number;
  /** When it was written; null where containerd does not say. */
  readonly createdAt: Date | null;
  /** Labels say what it keeps from being collected, and where it came from. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Which part of a blob to read. */
export interface ReadBlobOptions extends CallOptions {
  /** Default: 0. */
  readonly offset?: number | undefined;
  /** Default: to the end. */
  readonly length?: number | undefined;
}

/** Labels and the usual call options of a write. */
export interface WriteBlobOptions extends CallOptions {
  /** Such as `containerd.io/gc.ref.content.0`. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

type WriteCall = DuplexCall<
  MessageInitShape<typeof WriteContentRequestSchema>,
  WriteContentResponse
>;

/** containerd's content store: blobs by digest, with labels. */
export class ContentClient {
  readonly #channel: RpcChannel;

  /** Blobs of the channel's namespace. @param channel stays the caller's. */
  constructor(channel: RpcChannel) {
    this.#channel = channel;
  }

  /** What is known of one blob. @throws ContainerdError `NOT_FOUND` when the blob is not there. */
  async info(digest: string, options?: CallOptions): Promise<ContentInfo> {
    const { info } = await this.#channel.unary(
      Content.method.info,
      { digest },
      options,
    );
    return contentInfo(info, digest);
  }

  /** Whether the blob is there. */
  async has(digest: string, options?: CallOptions): Promise<boolean> {
    try {
      await this.info(digest, options);
      return true;
    } catch (error) {
      if (isRpcError(error, "NOT_FOUND")) return false;
      throw error;
    }
  }

  /** All blobs that pass one of the filters (containerd's filter language); all when none is given. */
  async *list(
    filters: readonly string[] = [],
    options?: CallOptions,
  ): AsyncGenerator<ContentInfo, void, undefined> {
    const answers = this.#channel.serverStream(
      Content.method.list,
      { filters: [...filters] },
      options,
    );
    for await (const { info } of answers) {
      for (const each of info) yield contentInfo(each, each.digest);
    }
  }

  /** The blob's bytes, in pieces. */
  async *readBlob(
    digest: string,
    options: ReadBlobOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { offset = 0, length, signal, timeoutMs } = options;
    if (length === 0) return; // to containerd 0 means the rest
    let received = 0;
    if (length !== undefined && length >= STREAM_BYTES && timeoutMs == null) {
      const { socketPath, namespace = "" } = this.#channel;
      const about = { socketPath, namespace, digest, offset, length, signal };
      for await (const piece of streamBlob(about)) {
        received += piece.length;
        yield piece;
      }
      if (received === length) return;
    }
    const request = {
      digest,
      offset: BigInt(offset + received),
      size: BigInt(length === undefined ? 0 : length - received),
    };
    for await (
      const { data } of this.#channel.serverStream(
        Content.method.read,
        request,
        options,
      )
    ) yield data;
  }

  /**
   * Stores a blob; containerd checks it against the descriptor's size and digest.
   *
   * @param ref names the upload. The next upload with the same name resumes an interrupted one; of two
   * concurrent ones, one fails (`UNAVAILABLE`).
   * @returns `present` when the blob was there already.
   */
  async writeBlob(
    ref: string,
    descriptor: Pick<Descriptor, "digest" | "size">,
    bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: WriteBlobOptions = {},
  ): Promise<"written" | "present"> {
    const call: WriteCall = this.#channel.bidi(Content.method.write, options);
    try {
      await upload(call, ref, descriptor, bytes, options.labels ?? {});
      return "written";
    } catch (error) {
      call.cancel();
      if (isRpcError(error, "ALREADY_EXISTS")) return "present";
      throw error;
    }
  }

  /**
   * Stores a blob by an upload with a unique name, so that neither a concurrent upload of the same blob
   * nor a leftover of an earlier one gets in the way. A failed upload leaves nothing behind.
   * @param bytes called only when the blob is not there.
   * @returns `present` when the blob was there, or somebody else stored it meanwhile.
   */
  async putBlob(
    descriptor: Pick<Descriptor, "digest" | "size">,
    bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: WriteBlobOptions = {},
  ): Promise<"written" | "present"> {
    const ref = `soci-deno-${crypto.randomUUID()}`;
    try {
      return await this.writeBlob(ref, descriptor, bytes, options);
    } catch (error) {
      await this.abort(ref).catch(() => {}); // else it expires by itself
      throw error;
    }
  }

  /** Sets these labels and leaves the others; an empty value removes a label. */
  async updateLabels(
    digest: string,
    labels: Readonly<Record<string, string>>,
    options?: CallOptions,
  ): Promise<ContentInfo> {
    const { info } = await this.#channel.unary(Content.method.update, {
      info: { digest, labels: { ...labels } },
      updateMask: {
        paths: Object.keys(labels).map((key) => `labels.${key}`),
      },
    }, options);
    return contentInfo(info, digest);
  }

  /**
   * Removes a blob, even if something still refers to it.
   * @throws ContainerdError `NOT_FOUND` when the blob is not there.
   */
  async delete(digest: string, options?: CallOptions): Promise<void> {
    await this.#channel.unary(Content.method.delete, { digest }, options);
  }

  /** Aborts an upload and drops its bytes. */
  async abort(ref: string, options?: CallOptions): Promise<void> {
    await this.#channel.unary(Content.method.abort, { ref }, options);
  }
}

async function upload(
  call: WriteCall,
  ref: string,
  { digest, size }: { digest: Digest; size: number },
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  const answers = call[Symbol.asyncIterator]();
  const about = { ref, total: BigInt(size), expected: digest };
  const ask = async (
    request: MessageInitShape<typeof WriteContentRequestSchema>,
  ): Promise<WriteContentResponse> => {
    // The answer carries the reason when the server has closed the call: do not let send's EPIPE win.
    const sent = call.send(request).catch(() => {});
    const { value, done } = await answers.next();
    await sent;
    if (done) throw new Error(`containerd ended the upload ${ref} early`);
    return value;
  };

  const { offset } = await ask({ action: WriteAction.STAT, ...about });
  const resumeAt = Number(offset);
  let position = 0;
  for await (const piece of bytes) {
    const skip = Math.min(Math.max(resumeAt - position, 0), piece.length);
    position += skip;
    for (let at = skip; at < piece.length; at += WRITE_BYTES) {
      const data = piece.slice(at, at + WRITE_BYTES);
      await ask({
        action: WriteAction.WRITE,
        ...about,
        offset: BigInt(position),
        data,
      });
      position += data.length;
    }
  }
  await ask({
    action: WriteAction.COMMIT,
    ...about,
    offset: BigInt(position),
    labels: { ...labels },
  });
  call.end();
}

function contentInfo(info: Info | undefined, digest: string): ContentInfo {
  return {
    digest,
    sizeBytes: Number(info?.size ?? 0n),
    createdAt: info?.createdAt ? timestampDate(info.createdAt) : null,
    labels: info?.labels ?? {},
  };
}
