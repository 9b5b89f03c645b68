import {
  type Descriptor,
  type Digest,
  isDigest,
  MAX_MANIFEST_BYTES,
} from "../../formats/oci/mod.ts";
import {
  BLOCK_BYTES,
  TarError,
  TarWalker,
  wholeBlocks,
} from "../../formats/tar/mod.ts";
import { ContentError } from "./errors.ts";
import { filePart } from "./file_part.ts";
import { LAYOUT_FILE, parseIndexJson } from "./layout.ts";
import {
  type ContentId,
  type LayerSource,
  type StreamOptions,
} from "./place.ts";
import { checkWhole, collect } from "./verify.ts";

/** Where a file of the archive lies. */
interface Part {
  readonly offset: number;
  readonly size: number;
}

/** The most files an archive may hold: one a blob. */
const MAX_PARTS = 100_000;

/** First bytes of compressed archives, and the tool that unpacks each. */
const PACKED: ReadonlyArray<readonly [magic: readonly number[], tool: string]> =
  [
    [[0x1f, 0x8b], "gunzip"],
    [[0x28, 0xb5, 0x2f, 0xfd], "unzstd"],
    [[0x42, 0x5a, 0x68], "bunzip2"],
    [[0xfd, 0x37, 0x7a, 0x58, 0x5a], "unxz"],
  ];

/**
 * An OCI image layout in a tar archive, read in place: the headers are read once, and content is read
 * where it lies. `docker save` of Docker 25 and newer writes such archives too.
 */
export class ArchiveReader implements LayerSource {
  private constructor(
    readonly place: string,
    private readonly parts: ReadonlyMap<string, Part>,
  ) {}

  /** @throws ContentError when it is none, with what to do about it. */
  static async open(path: string): Promise<ArchiveReader> {
    const parts = await listParts(path);
    if (!parts.has(LAYOUT_FILE) || !parts.has("index.json")) {
      throw new ContentError("unusable", path, null, whyNot(parts));
    }
    return new ArchiveReader(path, parts);
  }

  #find({ digest, size }: ContentId): Part {
    const part = isDigest(digest)
      ? this.parts.get(`blobs/sha256/${digest.slice("sha256:".length)}`)
      : undefined;
    if (part === undefined) {
      throw new ContentError("not-found", this.place, digest, "not there");
    }
    if (part.size !== size) {
      throw new ContentError(
        "integrity",
        this.place,
        digest,
        `${part.size} bytes instead of ${size}`,
      );
    }
    return part;
  }

  has({ digest, size }: ContentId): Promise<boolean> {
    const part = this.parts.get(`blobs/sha256/${digest.slice(7)}`);
    return Promise.resolve(part?.size === size);
  }

  async bytes(content: ContentId): Promise<Uint8Array> {
    checkWhole(this.place, content);
    return await collect(this.place, content, await this.stream(content));
  }

  // deno-lint-ignore require-await -- so that what is wrong is a rejection
  async stream(content: ContentId, options: StreamOptions = {}) {
    const { offset: start } = this.#find(content);
    const { offset = 0, length = content.size - offset, signal } = options;
    return filePart(this.place, start + offset, length, signal);
  }

  /** The entries of the layout's index. @throws ContentError */
  async entries(): Promise<Descriptor[]> {
    const { offset, size } = this.parts.get("index.json")!;
    if (size > MAX_MANIFEST_BYTES) {
      throw new ContentError("invalid", this.place, null, "index.json is huge");
    }
    const stream = await filePart(this.place, offset, size);
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    return parseIndexJson(this.place, bytes);
  }

  /** Digest and size of everything in the layout. */
  *list(): Generator<Pick<ContentId, "digest" | "size">> {
    for (const [name, { size }] of this.parts) {
      const digest = name.replace(/^blobs\/sha256\//, "sha256:");
      if (isDigest(digest)) yield { digest: digest as Digest, size };
    }
  }
}

function whyNot(parts: ReadonlyMap<string, Part>): string {
  return parts.has("manifest.json")
    ? "a docker-save archive without an OCI layout: its layers are not packed as the registry's " +
      "are, so an index of them fits no image in a registry. Save with Docker 25 or newer, or " +
      "fetch the image with `skopeo copy docker://… oci-archive:…`"
    : "no OCI image layout (it has no oci-layout and index.json)";
}

/**
 * Finds where the files of an archive lie. Only headers are read; the data of each file is skipped.
 */
async function listParts(path: string): Promise<Map<string, Part>> {
  using file = await Deno.open(path);
  const { size: total, isFile } = await file.stat();
  if (!isFile) {
    throw new ContentError("unusable", path, null, "neither file nor folder");
  }
  const parts = new Map<string, Part>();
  const block = new Uint8Array(BLOCK_BYTES);
  let base = 0;
  let skipTo = 0;
  const decoder = new TextDecoder();
  let walker = newWalker();
  function newWalker() {
    return new TarWalker({
      onEntry: (entry) => {
        const offset = base + entry.offset;
        if (entry.type === "reg") {
          parts.set(decoder.decode(entry.name).replace(/^\.\//, ""), {
            offset,
            size: entry.size,
          });
        }
        skipTo = offset + wholeBlocks(entry.size);
      },
    });
  }
  await file.read(block);
  checkPacking(path, block);
  for (let at = 0; at + BLOCK_BYTES <= total;) {
    await file.seek(at, Deno.SeekMode.Start);
    await readFully(file, block);
    if (block.every((byte) => byte === 0)) break;
    try {
      skipTo = 0;
      walker.push(block);
    } catch (error) {
      if (!(error instanceof TarError)) throw error;
      throw new ContentError(
        "unusable",
        path,
        null,
        `no tar archive that can be read: ${error.message}`,
        { cause: error },
      );
    }
    at += BLOCK_BYTES;
    if (skipTo === 0) continue; // a header that belongs to the next one
    if (skipTo > total) {
      throw new ContentError("invalid", path, null, "the archive is cut off");
    }
    if (parts.size > MAX_PARTS) {
      throw new ContentError("invalid", path, null, "too many files");
    }
    at = base = skipTo;
    walker = newWalker();
  }
  return parts;
}

function checkPacking(path: string, start: Uint8Array): void {
  const found = PACKED.find(([magic]) =>
    magic.every((byte, i) => start[i] === byte)
  );
  if (found === undefined) return;
  throw new ContentError(
    "unusable",
    path,
    null,
    `the archive as a whole is packed, so content cannot be read where it lies: ${
      found[1]
    } it first`,
  );
}

async function readFully(file: Deno.FsFile, into: Uint8Array): Promise<void> {
  for (let at = 0; at < into.length;) {
    const read = await file.read(into.subarray(at));
    if (read === null) throw new Deno.errors.UnexpectedEof();
    at += read;
  }
}
