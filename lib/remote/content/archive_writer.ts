import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import { BLOCK_BYTES, TYPE_FLAG, wholeBlocks } from "../../formats/tar/mod.ts";
import { Draft } from "../../host/files/mod.ts";
import { ContentError } from "./errors.ts";
import { indexJson, LAYOUT_FILE, LAYOUT_JSON, REF_NAME } from "./layout.ts";
import type {
  ArtifactSink,
  Cancellable,
  Content,
  ContentId,
  LayerSource,
  StreamOptions,
} from "./place.ts";
import { checkBytes, checkedPieces } from "./verify.ts";

/** Twelve octal digits are less; larger blobs get a base-256 size as GNU and Go write it. */
const MAX_OCTAL_SIZE = 8 ** 11 - 1;

interface Held {
  readonly descriptor: Descriptor;
  readonly content: Content;
}

/**
 * Writes an OCI archive: a tar of an image layout. The same content gives the same bytes, sorted by
 * name and without times, as the existing tools write it.
 *
 * Small content is kept in memory until {@link ArchiveWriter.finish}, and can be read again until then.
 * Large content is passed as a way to read it, and is copied directly from there into the archive. The
 * file appears under its name when it is complete.
 */
export class ArchiveWriter
  implements ArtifactSink, LayerSource, AsyncDisposable {
  readonly #held = new Map<Digest, Held>();
  readonly #entries: Descriptor[] = [];

  /**
   * Nothing is written yet.
   * @param place path of the archive.
   * @param draftPath where it is written before it is complete; beside it. Default: a name of its own.
   */
  constructor(
    readonly place: string,
    private readonly draftPath: string = `${place}.${
      crypto.randomUUID().slice(0, 8)
    }.part`,
  ) {}

  put(
    descriptor: Descriptor,
    content: Content,
  ): Promise<"written" | "present"> {
    if (this.#held.has(descriptor.digest)) return Promise.resolve("present");
    try {
      if (content instanceof Uint8Array) {
        checkBytes(this.place, descriptor, content);
      }
    } catch (error) {
      return Promise.reject(error);
    }
    this.#held.set(descriptor.digest, { descriptor, content });
    return Promise.resolve("written");
  }

  /** Whether it was put as bytes, and can be read. */
  has({ digest }: ContentId): Promise<boolean> {
    return Promise.resolve(
      this.#held.get(digest)?.content instanceof Uint8Array,
    );
  }

  bytes({ digest }: ContentId): Promise<Uint8Array> {
    const content = this.#held.get(digest)?.content;
    if (content instanceof Uint8Array) return Promise.resolve(content);
    return Promise.reject(
      new ContentError("not-found", this.place, digest, "not there"),
    );
  }

  async stream(
    content: ContentId,
    { offset = 0, length }: StreamOptions = {},
  ): Promise<ReadableStream<Uint8Array>> {
    const bytes = await this.bytes(content);
    return ReadableStream.from([bytes.subarray(
      offset,
      length === undefined ? undefined : offset + length,
    )]);
  }

  tag(descriptor: Descriptor, name: string | null): Promise<void> {
    this.#entries.push(
      name === null ? descriptor : {
        ...descriptor,
        annotations: { ...descriptor.annotations, [REF_NAME]: name },
      },
    );
    return Promise.resolve();
  }

  /** Writes the archive. @throws ContentError `integrity` when what is read is not what was said */
  async finish({ signal }: Cancellable = {}): Promise<void> {
    using draft = Draft.create(this.place, {
      draftPath: this.draftPath,
      mode: "umask",
      sync: "data",
    });
    await this.#write(draft, signal);
    await draft.finish();
    this.#held.clear();
  }

  async #write(draft: Draft, signal: AbortSignal | undefined) {
    const write = (bytes: Uint8Array) => draft.write(bytes);
    const whole = async (name: string, mode: number, bytes: Uint8Array) => {
      await write(header({ name, mode, size: bytes.length, type: "reg" }));
      await write(bytes);
      await write(padding(bytes.length));
    };
    for (const name of ["blobs/", "blobs/sha256/"]) {
      await write(header({ name, mode: 0o755, size: 0, type: "dir" }));
    }
    const held = [...this.#held.values()].sort((a, b) =>
      a.descriptor.digest < b.descriptor.digest ? -1 : 1
    );
    for (const { descriptor, content } of held) {
      const { digest, size } = descriptor;
      const name = `blobs/sha256/${digest.slice("sha256:".length)}`;
      await write(header({ name, mode: 0o444, size, type: "reg" }));
      const pieces = checkedPieces(this.place, descriptor, content, signal);
      for await (const piece of pieces) await write(piece);
      await write(padding(size));
    }
    await whole("index.json", 0o644, indexJson(this.#entries));
    await whole(LAYOUT_FILE, 0o444, new TextEncoder().encode(LAYOUT_JSON));
    await write(new Uint8Array(2 * BLOCK_BYTES));
  }

  /** Drops an unfinished archive. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#held.clear();
    return Promise.resolve();
  }
}

function padding(size: number): Uint8Array {
  return new Uint8Array(wholeBlocks(size) - size);
}

/** One ustar header block; see POSIX.1-1988. */
function header(
  { name, mode, size, type }: {
    readonly name: string;
    readonly mode: number;
    readonly size: number;
    readonly type: "reg" | "dir";
  },
): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES);
  const text = (at: number, value: string) =>
    block.set(new TextEncoder().encode(value), at);
  const octal = (at: number, width: number, value: number) =>
    text(at, value.toString(8).padStart(width - 1, "0"));
  if (name.length > 100) {
    throw new ContentError("invalid", name, null, "name too long");
  }
  text(0, name);
  octal(100, 8, mode);
  octal(108, 8, 0);
  octal(116, 8, 0);
  if (size <= MAX_OCTAL_SIZE) octal(124, 12, size);
  else {
    const view = new DataView(block.buffer);
    block[124] = 0x80;
    view.setBigUint64(128, BigInt(size));
  }
  octal(136, 12, 0);
  text(148, " ".repeat(8));
  text(156, TYPE_FLAG[type]);
  text(257, "ustar\0");
  text(263, "00");
  octal(329, 8, 0);
  octal(337, 8, 0);
  const sum = block.reduce((all, byte) => all + byte, 0);
  text(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}
