import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type Digest, parseDigest } from "../../formats/oci/mod.ts";

/** What an artifact is. */
export type ArtifactKind = "index" | "ztoc" | "prefetch";

/** The facts about one artifact that lists, reuse and pushing need. */
export interface ArtifactRecord {
  /** What it is. */
  readonly kind: ArtifactKind;
  /** Of its bytes: where they are found in the content. */
  readonly digest: Digest;
  /** Bytes of the artifact. */
  readonly sizeBytes: number;
  /** What it was made for: an index's image manifest, a ztoc's or prefetch list's layer. */
  readonly originalDigest: Digest;
  /** Its own media type, as descriptors of it say. */
  readonly mediaType: string;
  /** An index's SOCI type; of a ztoc, empty, or what sets it apart from those of the existing tools. */
  readonly artifactType: string;
  /** What the image's name stood for: an image index, or the manifest itself. Indexes only. */
  readonly imageDigest: Digest | null;
  /** The name the image had. Indexes only. */
  readonly imageName: string | null;
  /** `os/arch`. Indexes only. */
  readonly platform: string | null;
  /** The span size asked for, bytes. Ztocs only. */
  readonly spanSizeBytes: number | null;
  /** Whether the layer has no extended attributes; null where nobody looked. Ztocs only. */
  readonly noXattrs: boolean | null;
  /** When it was made; see `creationTime`. */
  readonly createdAt: Date;
}

/** The database cannot be used. */
export class ArtifactDatabaseError extends Error {
  static {
    this.prototype.name = "ArtifactDatabaseError";
  }
}

/** Changes when the tables do. */
const SCHEMA_VERSION = 1;

/**
 * When an artifact made now was made: `SOURCE_DATE_EPOCH`, or the clock.
 * @param epoch seconds since 1970; read from the environment when not given.
 * @throws RangeError when it is no number of seconds.
 */
export function creationTime(
  epoch: string | undefined = Deno.env.get("SOURCE_DATE_EPOCH"),
): Date {
  if (epoch === undefined || epoch === "") return new Date();
  const seconds = Number(epoch);
  if (!/^\d{1,12}$/.test(epoch) || !Number.isSafeInteger(seconds)) {
    throw new RangeError(
      `SOURCE_DATE_EPOCH "${epoch}" is no number of seconds`,
    );
  }
  return new Date(seconds * 1000);
}

/**
 * What artifacts there are, in SQLite. Purely local: no other tool shares it, and it can be rebuilt from
 * the content. Several processes may use it at once.
 */
export class ArtifactDatabase implements Disposable {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /**
   * Opens the database, and brings its tables up to date.
   * @param path the database file; made when missing.
   * @throws ArtifactDatabaseError
   */
  constructor(path: string) {
    try {
      this.#database = new DatabaseSync(path);
    } catch (cause) {
      throw new ArtifactDatabaseError(`${path} cannot be opened`, { cause });
    }
    this.#database.exec(`
      PRAGMA busy_timeout = 10000;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
    `);
    const version = Number(
      this.#database.prepare("PRAGMA user_version").get()?.user_version,
    );
    if (version > SCHEMA_VERSION) {
      this.#database.close();
      throw new ArtifactDatabaseError(
        `${path} was written by a newer release (schema ${version}, this one knows ${SCHEMA_VERSION})`,
      );
    }
    this.#database.exec(`
      CREATE TABLE IF NOT EXISTS artifacts (
        digest TEXT NOT NULL,
        original_digest TEXT NOT NULL,
        image_digest TEXT NOT NULL DEFAULT '',
        kind TEXT NOT NULL CHECK (kind IN ('index', 'ztoc', 'prefetch')),
        size_bytes INTEGER NOT NULL,
        media_type TEXT NOT NULL,
        artifact_type TEXT NOT NULL,
        image_name TEXT,
        platform TEXT,
        span_size_bytes INTEGER,
        no_xattrs INTEGER,
        created_ms INTEGER NOT NULL,
        PRIMARY KEY (digest, original_digest, image_digest)
      ) STRICT;
      CREATE INDEX IF NOT EXISTS artifacts_of ON artifacts (original_digest, kind);
      PRAGMA user_version = ${SCHEMA_VERSION};
    `);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Adds a record, or brings the one of the same artifact and original up to date. */
  record(record: ArtifactRecord): void {
    this.#prepare(`
      INSERT INTO artifacts (digest, original_digest, image_digest, kind, size_bytes, media_type,
        artifact_type, image_name, platform, span_size_bytes, no_xattrs, created_ms)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET
        image_name = coalesce(excluded.image_name, image_name),
        platform = coalesce(excluded.platform, platform),
        span_size_bytes = coalesce(excluded.span_size_bytes, span_size_bytes),
        no_xattrs = coalesce(excluded.no_xattrs, no_xattrs),
        created_ms = excluded.created_ms`).run(
      record.digest,
      record.originalDigest,
      record.imageDigest ?? "",
      record.kind,
      record.sizeBytes,
      record.mediaType,
      record.artifactType,
      record.imageName,
      record.platform,
      record.spanSizeBytes,
      record.noXattrs === null ? null : Number(record.noXattrs),
      record.createdAt.getTime(),
    );
  }

  /** All of a kind: indexes and prefetch lists newest first, ztocs by digest. */
  list(kind: ArtifactKind): ArtifactRecord[] {
    const order = kind === "ztoc" ? "digest" : "created_ms DESC, digest";
    return this.#prepare(
      `SELECT * FROM artifacts WHERE kind = ? ORDER BY ${order}, rowid DESC`,
    ).all(kind).map(toRecord);
  }

  /** All records of an artifact; none when it is not known. */
  get(digest: Digest): ArtifactRecord[] {
    return this.#prepare("SELECT * FROM artifacts WHERE digest = ?")
      .all(digest).map(toRecord);
  }

  /** The ztocs that were made of a layer with a span size. */
  ztocsOf(layer: Digest, spanSizeBytes: number): ArtifactRecord[] {
    return this.#prepare(`
      SELECT * FROM artifacts
      WHERE original_digest = ? AND kind = 'ztoc' AND span_size_bytes = ?
      ORDER BY created_ms DESC`).all(layer, spanSizeBytes).map(toRecord);
  }

  /** Forgets an artifact. @returns how many records it had. */
  remove(digest: Digest): number {
    return Number(
      this.#prepare("DELETE FROM artifacts WHERE digest = ?").run(digest)
        .changes,
    );
  }

  /** Digests of everything known. */
  digests(): Digest[] {
    return this.#prepare("SELECT DISTINCT digest FROM artifacts").all()
      .map(({ digest }) => parseDigest(String(digest)));
  }

  /** Closes the database; no statement may be running. */
  [Symbol.dispose](): void {
    this.#statements.clear();
    this.#database.close();
  }
}

function toRecord(row: Record<string, unknown>): ArtifactRecord {
  const digestOrNull = (value: unknown) =>
    value === "" ? null : parseDigest(String(value));
  const numberOrNull = (value: unknown) =>
    value === null ? null : Number(value);
  const textOrNull = (value: unknown) => value === null ? null : String(value);
  return {
    kind: row.kind as ArtifactKind,
    digest: parseDigest(String(row.digest)),
    sizeBytes: Number(row.size_bytes),
    originalDigest: parseDigest(String(row.original_digest)),
    mediaType: String(row.media_type),
    artifactType: String(row.artifact_type),
    imageDigest: digestOrNull(row.image_digest),
    imageName: textOrNull(row.image_name),
    platform: textOrNull(row.platform),
    spanSizeBytes: numberOrNull(row.span_size_bytes),
    noXattrs: row.no_xattrs === null ? null : Number(row.no_xattrs) === 1,
    createdAt: new Date(Number(row.created_ms)),
  };
}
