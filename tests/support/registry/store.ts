import {
  type Digest,
  DigestStream,
  isDigest,
  sha256,
} from "../../../lib/formats/oci/mod.ts";

/** A manifest as it was pushed. */
export interface StoredManifest {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly mediaType: string;
  readonly digest: Digest;
}

/** One repository. All share the blobs, but each shows only those it lists. */
export interface Repository {
  readonly blobs: Set<Digest>;
  readonly manifests: Map<Digest, StoredManifest>;
  readonly tags: Map<string, Digest>;
}

/** An upload in progress. */
export interface Upload {
  readonly id: string;
  readonly repository: string;
  readonly file: string;
  size: number;
}

/** Blobs as files, everything else in memory and in one `state.json`. */
export class Store {
  readonly repositories = new Map<string, Repository>();
  readonly uploads = new Map<string, Upload>();

  constructor(
    readonly folder: string,
    private readonly temporary: boolean,
  ) {
    Deno.mkdirSync(`${folder}/blobs`, { recursive: true });
    Deno.mkdirSync(`${folder}/uploads`, { recursive: true });
    this.#load();
  }

  /** A repository; creates it if it does not exist. */
  repository(name: string): Repository {
    let found = this.repositories.get(name);
    if (found === undefined) {
      found = { blobs: new Set(), manifests: new Map(), tags: new Map() };
      this.repositories.set(name, found);
    }
    return found;
  }

  /** Where a blob's bytes are. */
  blobFile(digest: Digest): string {
    return `${this.folder}/blobs/${digest.slice(7)}`;
  }

  /** Stores bytes as a blob of a repository. */
  addBlob(name: string, bytes: Uint8Array): Digest {
    const digest = sha256(bytes);
    Deno.writeFileSync(this.blobFile(digest), bytes);
    this.repository(name).blobs.add(digest);
    return digest;
  }

  /** Stores a manifest, optionally under a tag. */
  addManifest(
    name: string,
    bytes: Uint8Array,
    mediaType: string,
    tag?: string,
  ): StoredManifest {
    const digest = sha256(bytes);
    const manifest = { bytes: new Uint8Array(bytes), mediaType, digest };
    this.repository(name).manifests.set(digest, manifest);
    if (tag !== undefined) this.repository(name).tags.set(tag, digest);
    return manifest;
  }

  /** Finds a manifest by tag or digest. */
  manifest(name: string, object: string): StoredManifest | undefined {
    const repository = this.repositories.get(name);
    const digest = isDigest(object) ? object : repository?.tags.get(object);
    return digest === undefined ? undefined : repository?.manifests.get(digest);
  }

  /** Opens an upload. */
  startUpload(repository: string): Upload {
    const id = crypto.randomUUID();
    const file = `${this.folder}/uploads/${id}`;
    Deno.writeFileSync(file, new Uint8Array());
    const upload = { id, repository, file, size: 0 };
    this.uploads.set(id, upload);
    return upload;
  }

  /** Adds a request's body to an upload. */
  async append(
    upload: Upload,
    body: ReadableStream<Uint8Array> | null,
  ): Promise<void> {
    if (body === null) return;
    using file = await Deno.open(upload.file, { append: true });
    for await (const chunk of body) {
      for (let at = 0; at < chunk.length;) {
        at += await file.write(chunk.subarray(at));
      }
      upload.size += chunk.length;
    }
  }

  /** Turns an upload into a blob; false if its bytes have another digest. */
  async finishUpload(upload: Upload, digest: Digest): Promise<boolean> {
    const hash = new DigestStream();
    const file = await Deno.open(upload.file);
    for await (const chunk of file.readable) hash.update(chunk);
    if (hash.finish() !== digest) return false;
    Deno.renameSync(upload.file, this.blobFile(digest));
    this.uploads.delete(upload.id);
    this.repository(upload.repository).blobs.add(digest);
    return true;
  }

  /** Drops an upload. */
  dropUpload({ id, file }: Upload): void {
    this.uploads.delete(id);
    Deno.removeSync(file);
  }

  /** A part of a blob, read while it is sent. */
  async read(
    digest: Digest,
    start: number,
    end: number,
  ): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const file = await Deno.open(this.blobFile(digest));
    await file.seek(start, Deno.SeekMode.Start);
    let left = end - start;
    return new ReadableStream({
      async pull(controller) {
        const buffer = new Uint8Array(Math.min(left, 64 * 1024));
        const count = left === 0 ? 0 : await file.read(buffer) ?? 0;
        left -= count;
        if (count > 0) controller.enqueue(buffer.subarray(0, count));
        if (count > 0 && left > 0) return;
        file.close();
        controller.close();
      },
      cancel: () => file.close(),
    }, { highWaterMark: 0 });
  }

  /** Writes the state, or removes the folder if it is a temporary one. */
  close(): void {
    if (this.temporary) {
      Deno.removeSync(this.folder, { recursive: true });
      return;
    }
    const state = [...this.repositories].map(([name, repository]) => ({
      name,
      blobs: [...repository.blobs],
      tags: [...repository.tags],
      manifests: [...repository.manifests.values()].map((
        { bytes, mediaType },
      ) => ({ mediaType, text: new TextDecoder().decode(bytes) })),
    }));
    Deno.writeTextFileSync(`${this.folder}/state.json`, JSON.stringify(state));
  }

  #load(): void {
    let text: string;
    try {
      text = Deno.readTextFileSync(`${this.folder}/state.json`);
    } catch {
      return; // a new folder
    }
    for (const { name, blobs, tags, manifests } of JSON.parse(text)) {
      const repository = this.repository(name);
      for (const digest of blobs) repository.blobs.add(digest);
      for (const [tag, digest] of tags) repository.tags.set(tag, digest);
      for (const { mediaType, text } of manifests) {
        this.addManifest(name, new TextEncoder().encode(text), mediaType);
      }
    }
  }
}
