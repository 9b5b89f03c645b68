import {
  canonicalJson,
  type Descriptor,
  descriptorJson,
  type Digest,
  isDigest,
  MAX_MANIFEST_BYTES,
  MEDIA,
  parseIndex,
} from "../../formats/oci/mod.ts";
import {
  Draft,
  type DraftOptions,
  removeIfThere,
  statIfThere,
} from "../../host/files/mod.ts";
import { ContentError } from "./errors.ts";
import { filePart } from "./file_part.ts";
import {
  type ArtifactSink,
  type Cancellable,
  type Content,
  type ContentId,
  type LayerSource,
  type StreamOptions,
} from "./place.ts";
import { checkBytes, checkedPieces, checkWhole } from "./verify.ts";

/** The file that makes a folder an OCI layout. */
export const LAYOUT_FILE = "oci-layout";
/** What it says. */
export const LAYOUT_JSON = '{"imageLayoutVersion":"1.0.0"}';
/** The name of an entry of a layout's index (OCI image spec, annotations.md). */
export const REF_NAME = "org.opencontainers.image.ref.name";
/** The full name of an image, as containerd and BuildKit write it beside the other. */
export const IMAGE_NAME = "io.containerd.image.name";

/** Uploads of a process that died are removed after this time. */
const STALE_UPLOAD_MS = 24 * 3600 * 1000;

/** The bytes of an `index.json` with these entries, as the existing tools write them. */
export function indexJson(entries: readonly Descriptor[]): Uint8Array {
  return new TextEncoder().encode(canonicalJson({
    schemaVersion: 2,
    mediaType: MEDIA.ociIndex,
    manifests: entries.map(descriptorJson),
  }));
}

/** Reads an `index.json`. @throws ContentError */
export function parseIndexJson(place: string, bytes: Uint8Array): Descriptor[] {
  try {
    return [...parseIndex(bytes).manifests];
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ContentError("invalid", place, null, `index.json: ${why}`, {
      cause,
    });
  }
}

/**
 * An OCI image layout in a folder (OCI image spec, image-layout.md). Content is written aside and
 * renamed, so readers and other writers never see a part of it.
 */
export class LayoutFolder implements LayerSource, ArtifactSink {
  #ingestIsThere = false;

  private constructor(readonly place: string) {}

  /** A layout that is there. @throws ContentError */
  static async open(folder: string): Promise<LayoutFolder> {
    try {
      await Deno.stat(`${folder}/${LAYOUT_FILE}`);
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
      throw new ContentError(
        "unusable",
        folder,
        null,
        "no OCI layout (it has no oci-layout file)",
      );
    }
    return new LayoutFolder(folder);
  }

  /** A layout that is there, or a new one. */
  static async create(folder: string): Promise<LayoutFolder> {
    const layout = new LayoutFolder(folder);
    await Deno.mkdir(`${folder}/blobs/sha256`, { recursive: true });
    if (statIfThere(`${folder}/index.json`) === null) {
      await layout.#write("index.json", indexJson([]));
    }
    await layout.#write(LAYOUT_FILE, new TextEncoder().encode(LAYOUT_JSON));
    return layout;
  }

  #path(digest: Digest): string {
    // The type promises hex digits only, but a path is worth a second check.
    if (!isDigest(digest)) throw new RangeError("no digest");
    return `${this.place}/blobs/sha256/${digest.slice("sha256:".length)}`;
  }

  #size(digest: Digest): number | null {
    return statIfThere(this.#path(digest))?.size ?? null;
  }

  async has({ digest, size }: ContentId): Promise<boolean> {
    return await this.#size(digest) === size;
  }

  async #find({ digest, size }: ContentId): Promise<void> {
    const found = await this.#size(digest);
    if (found === null) {
      throw new ContentError("not-found", this.place, digest, "not there");
    }
    if (found !== size) {
      throw new ContentError(
        "integrity",
        this.place,
        digest,
        `${found} bytes instead of ${size}`,
      );
    }
  }

  async bytes(content: ContentId): Promise<Uint8Array> {
    checkWhole(this.place, content);
    await this.#find(content);
    const bytes = await Deno.readFile(this.#path(content.digest));
    checkBytes(this.place, content, bytes);
    return bytes;
  }

  async stream(
    content: ContentId,
    options: StreamOptions = {},
  ): Promise<ReadableStream<Uint8Array>> {
    await this.#find(content);
    const { offset = 0, length = content.size - offset, signal } = options;
    return await filePart(this.#path(content.digest), offset, length, signal);
  }

  async put(
    descriptor: Descriptor,
    content: Content,
    { signal }: Cancellable = {},
  ): Promise<"written" | "present"> {
    if (await this.has(descriptor)) return "present";
    using draft = await this.#draft(this.#path(descriptor.digest), {
      mode: 0o444,
      sync: "data",
    });
    const pieces = checkedPieces(this.place, descriptor, content, signal);
    for await (const piece of pieces) await draft.write(piece);
    await draft.finish();
    return "written";
  }

  /** The entries of the layout's index. @throws ContentError */
  async entries(): Promise<Descriptor[]> {
    const path = `${this.place}/index.json`;
    const { size } = await Deno.stat(path);
    if (size > MAX_MANIFEST_BYTES) {
      throw new ContentError("invalid", this.place, null, "index.json is huge");
    }
    return parseIndexJson(this.place, await Deno.readFile(path));
  }

  async tag(descriptor: Descriptor, name: string | null): Promise<void> {
    const entry = name === null ? descriptor : {
      ...descriptor,
      annotations: { ...descriptor.annotations, [REF_NAME]: name },
    };
    await this.#changeEntries((entries) => [
      ...entries.filter(({ digest, annotations }) =>
        name === null
          ? digest !== descriptor.digest
          : annotations?.[REF_NAME] !== name
      ),
      entry,
    ]);
  }

  /** Forgets content and what names it. @returns whether it was there. */
  async remove(digest: Digest): Promise<boolean> {
    await this.#changeEntries((entries) =>
      entries.filter((entry) => entry.digest !== digest)
    );
    return removeIfThere(this.#path(digest));
  }

  /** Digest and size of everything in the layout. */
  async *list(): AsyncGenerator<Pick<ContentId, "digest" | "size">> {
    for await (const { name } of Deno.readDir(`${this.place}/blobs/sha256`)) {
      const digest = `sha256:${name}`;
      if (!isDigest(digest)) continue;
      const size = await this.#size(digest);
      if (size !== null) yield { digest, size };
    }
  }

  /** Locked, so that two processes that change the index at once do not lose each other's entries. */
  async #changeEntries(
    change: (entries: readonly Descriptor[]) => Descriptor[],
  ): Promise<void> {
    await this.#ingest();
    using lock = await Deno.open(`${this.place}/ingest/lock`, {
      create: true,
      write: true,
    });
    await lock.lock(true);
    const before = await this.entries();
    const after = change(before);
    if (canonicalJson(before) === canonicalJson(after)) return;
    await this.#write("index.json", indexJson(after));
  }

  /** Removes the folder for unfinished files: for a layout that nobody else writes to. */
  async tidy(): Promise<void> {
    await Deno.remove(`${this.place}/ingest`, { recursive: true });
    this.#ingestIsThere = false;
  }

  async #write(name: string, bytes: Uint8Array): Promise<void> {
    using draft = await this.#draft(`${this.place}/${name}`, { mode: 0o644 });
    await draft.write(bytes);
    await draft.finish();
  }

  /** A draft of this process alone, on the layout's file system. */
  async #draft(path: string, options: DraftOptions): Promise<Draft> {
    await this.#ingest();
    const draftPath = `${this.place}/ingest/${crypto.randomUUID()}`;
    return Draft.create(path, { ...options, draftPath });
  }

  async #ingest(): Promise<void> {
    if (this.#ingestIsThere) return;
    const folder = `${this.place}/ingest`;
    await Deno.mkdir(folder, { recursive: true });
    this.#ingestIsThere = true;
    const now = Date.now();
    for await (const { name } of Deno.readDir(folder)) {
      if (name === "lock") continue;
      const path = `${folder}/${name}`;
      const begun = statIfThere(path)?.mtime?.getTime() ?? now;
      if (now - begun > STALE_UPLOAD_MS) removeIfThere(path);
    }
  }
}
