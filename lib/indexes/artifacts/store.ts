import {
  type ArtifactSink,
  type ContentId,
  isMissing,
  type LayerSource,
  LayoutFolder,
} from "../../remote/content/mod.ts";
import type { Digest } from "../../formats/oci/mod.ts";
import {
  ArtifactDatabase,
  type ArtifactKind,
  type ArtifactRecord,
} from "./database.ts";

/** Content that the store keeps, with its time where the place knows it. */
export interface StoredContent extends Pick<ContentId, "digest" | "size"> {
  /** When it came; null or absent where the place does not know. */
  readonly createdAt?: Date | null;
}

/** Where artifacts are kept: a place that can also be walked and cleaned. */
export interface ArtifactContent extends LayerSource, ArtifactSink {
  /** All that is kept, in no order; also what is no artifact. */
  list(): AsyncIterable<StoredContent>;
  /** Forgets content. @returns whether it was there. */
  remove(digest: Digest): Promise<boolean>;
}

/** No such artifact in the store. */
export class UnknownArtifactError extends Error {
  static {
    this.prototype.name = "UnknownArtifactError";
  }
  /** Says where else to look. @param what its kind: `index`, `ztoc`. */
  constructor(readonly digest: Digest, what: string) {
    super(
      `${what} ${digest} is not in the local store (\`rebuild-db\` looks again)`,
    );
  }
}

/** Artifacts of this machine: their content, and the database that says what they are. */
export class ArtifactStore implements Disposable {
  /** Takes over both; disposing of the store closes the database. */
  constructor(
    readonly database: ArtifactDatabase,
    readonly content: ArtifactContent,
  ) {}

  /**
   * Opens the store below a folder, which is made when missing, for its owner only.
   * @param content where artifacts are kept; by default an OCI layout below the folder.
   */
  static async open(
    root: string,
    content?: ArtifactContent,
  ): Promise<ArtifactStore> {
    await Deno.mkdir(root, { recursive: true, mode: 0o700 });
    const kept = content ?? await LayoutFolder.create(`${root}/content`);
    return new ArtifactStore(
      new ArtifactDatabase(`${root}/artifacts.sqlite`),
      kept,
    );
  }

  /** An artifact of a kind. @throws UnknownArtifactError */
  find(kind: ArtifactKind, digest: Digest): ArtifactRecord {
    const found = this.database.get(digest).find((one) => one.kind === kind);
    if (found === undefined) throw new UnknownArtifactError(digest, kind);
    return found;
  }

  /** An artifact's bytes. */
  async read(record: ArtifactRecord): Promise<Uint8Array> {
    return await this.content.bytes({
      mediaType: record.mediaType,
      digest: record.digest,
      size: record.sizeBytes,
    });
  }

  /** The same; null where the content is gone, as when containerd has collected it. */
  async readIfThere(record: ArtifactRecord): Promise<Uint8Array | null> {
    try {
      return await this.read(record);
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  /** Closes the database. */
  [Symbol.dispose](): void {
    this.database[Symbol.dispose]();
  }
}
