import type { StatementSync } from "node:sqlite";
import type { ProvidedImage, ServedLayer } from "./provider.ts";
import type { Labels } from "./types.ts";

/** A layer that a snapshot keeps: its own, or one that its image has below it. */
export interface LayerUse {
  /** In the image, 0 at the bottom; null in the database of a release that did not keep it. */
  readonly position: number | null;
  /** Where it is served. */
  readonly slot: number;
  /** For whom; empty in the database of a release that did not keep it. */
  readonly claimant: string;
  /** Of the layer blob. */
  readonly layerDigest: string;
  /** Where it is shown. */
  readonly directory: string;
}

/** The image of a lazily served snapshot. */
export interface StoredImage {
  /** See `ProvidedImage.key`. */
  readonly key: string;
  /** Who it speaks for. */
  readonly claimant: string;
  /** Of the registry. */
  readonly host: string;
  /** In that registry. */
  readonly repository: string;
  /** Of the platform's manifest. */
  readonly manifestDigest: string;
  /** Of the index; null when it has none. */
  readonly indexDigest: string | null;
  /** Digests of the ztocs that its index names, bottom first; null where it names none. */
  readonly ztocs: readonly (string | null)[];
}

/** An image that has lazily served snapshots. */
export interface ServedImage {
  /** As it was asked for: host, repository, tag. */
  readonly name: string;
  /** containerd's. */
  readonly namespace: string;
  /** Digest of the platform's manifest. */
  readonly manifest: string;
  /** Digest of the index; null when it has none. */
  readonly index: string | null;
  /** How many layers it has. */
  readonly layers: number;
  /** Slots of those that are served, bottom first. */
  readonly slots: readonly number[];
}

/** The layers that a snapshot keeps. */
interface Kept {
  readonly id: number;
  readonly uses: readonly LayerUse[];
}

/** The tables of images, and of the layers that snapshots keep: a part of the snapshotter's database. */
export class StoredUses {
  readonly #prepare: (sql: string) => StatementSync;
  /** Of the snapshot that was asked about last: a Prepare asks several times about its parent. */
  #last: Kept | null = null;
  /** Of the snapshot that is being inserted. */
  #adding: Kept | null = null;

  /** @param prepare makes a statement, or returns the one made before. */
  constructor(prepare: (sql: string) => StatementSync) {
    this.#prepare = prepare;
  }

  /** The number of an image. Stores the image when it is new. */
  imageId(image: ProvidedImage): number {
    const known = this.#prepare("SELECT id FROM images WHERE key = ?")
      .get(image.key);
    if (known !== undefined) return Number(known.id);
    const { lastInsertRowid } = this.#prepare(`
      INSERT INTO images (key, claimant, namespace, host, repository, fingerprint, reference,
                          manifest_digest, index_digest, layers)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).run(
      image.key,
      image.claimant,
      image.namespace,
      image.host,
      image.repository,
      image.fingerprint,
      image.reference,
      image.manifestDigest,
      image.indexDigest,
      JSON.stringify(image.layers),
    );
    return Number(lastInsertRowid);
  }

  /**
   * Stores the layers that a new snapshot keeps, bottom first; its own is the last. Those that its parent keeps,
   * too, are not stored twice: an image of many layers would take rows by their square.
   * @param parentId null where there is none.
   */
  add(
    id: number,
    parentId: number | null,
    layers: readonly (Omit<ServedLayer, "owner"> | null)[],
    { claimant }: ProvidedImage,
  ): void {
    const uses = layers.flatMap((layer, position): LayerUse[] => {
      if (layer === null) return [];
      const { slot, layerDigest, directory } = layer;
      return [{ position, slot, claimant, layerDigest, directory }];
    });
    this.#adding = { id, uses };
    if (parentId !== null && this.#keeps(parentId, uses.slice(0, -1))) {
      this.#prepare("UPDATE snapshots SET inherits = 1 WHERE id = ?").run(id);
      this.#add(id, uses.slice(-1));
    } else this.#add(id, uses);
  }

  /** What was added last is stored for good: the next snapshot most likely builds on it. */
  stored(): void {
    this.#last = this.#adding ?? this.#last;
    this.#adding = null;
  }

  /** Whether a snapshot keeps just these layers. */
  #keeps(id: number, uses: readonly LayerUse[]): boolean {
    const kept = this.of(id);
    return kept.length === uses.length && kept.every((use, at) => {
      const { position, slot, claimant, layerDigest } = uses[at]!;
      return use.position === position && use.slot === slot &&
        use.claimant === claimant && use.layerDigest === layerDigest;
    });
  }

  #add(id: number, uses: readonly LayerUse[]): void {
    const insert = this.#prepare(`
      INSERT INTO uses (snapshot_id, position, slot, claimant, layer_digest, directory)
      VALUES (?, ?, ?, ?, ?, ?)`);
    for (const { position, slot, claimant, layerDigest, directory } of uses) {
      insert.run(id, position, slot, claimant, layerDigest, directory);
    }
  }

  /** All layers that a snapshot keeps, bottom first; its own is the last. */
  of(id: number): readonly LayerUse[] {
    if (this.#last?.id === id) return this.#last.uses;
    const uses = this.#prepare(`
      WITH RECURSIVE keeper (id, inherits, parent_id) AS (
        SELECT id, inherits, parent_id FROM snapshots WHERE id = ?
        UNION ALL
        SELECT s.id, s.inherits, s.parent_id FROM keeper k JOIN snapshots s ON s.id = k.parent_id
        WHERE k.inherits = 1
      )
      SELECT u.* FROM keeper k JOIN uses u ON u.snapshot_id = k.id ORDER BY u.position`)
      .all(id).map(layerUse);
    this.#last = { id, uses };
    return uses;
  }

  /** Those that a snapshot keeps and its parent does not. */
  ownOf(id: number): readonly LayerUse[] {
    return this.#prepare(
      "SELECT * FROM uses WHERE snapshot_id = ? ORDER BY position",
    ).all(id).map(layerUse);
  }

  /** Every layer that a snapshot keeps, once for each claimant, with the labels of one such snapshot. */
  all(): (LayerUse & { readonly labels: Labels })[] {
    return this.#prepare(`
      SELECT u.*, s.labels FROM uses u JOIN snapshots s ON s.id = u.snapshot_id
      GROUP BY u.slot, u.claimant, u.layer_digest ORDER BY min(s.id)`)
      .all().map((row) => ({
        ...layerUse(row),
        labels: JSON.parse(String(row.labels)),
      }));
  }

  /** The image of a lazily served snapshot; null in the database of a release that did not keep it. */
  imageOf(id: number): StoredImage | null {
    const row = this.#prepare(
      "SELECT i.* FROM images i JOIN snapshots s ON s.image_id = i.id WHERE s.id = ?",
    ).get(id);
    return row === undefined ? null : storedImage(row);
  }

  /** Every image that has snapshots, by name. */
  served(): ServedImage[] {
    const slots = new Map<number, number[]>();
    for (
      const { image_id, slot } of this.#prepare(`
        SELECT image_id, slot FROM snapshots WHERE image_id IS NOT NULL ORDER BY id`)
        .iterate()
    ) slots.getOrInsertComputed(Number(image_id), () => []).push(Number(slot));
    return this.#prepare("SELECT * FROM images ORDER BY reference, id").all()
      .map((row) => ({
        name: String(row.reference),
        namespace: String(row.namespace),
        manifest: String(row.manifest_digest),
        index: row.index_digest === null ? null : String(row.index_digest),
        layers: JSON.parse(String(row.layers)).length,
        slots: slots.get(Number(row.id)) ?? [],
      }));
  }

  /** All images of one manifest in one repository. */
  imagesOf(
    { host, repository, manifestDigest }: Pick<
      StoredImage,
      "host" | "repository" | "manifestDigest"
    >,
  ): StoredImage[] {
    return this.#prepare(
      "SELECT * FROM images WHERE host = ? AND repository = ? AND manifest_digest = ?",
    ).all(host, repository, manifestDigest).map(storedImage);
  }

  /** Stores where a layer is shown now, for all snapshots that keep it for that claimant. */
  move(
    from: Pick<LayerUse, "slot" | "claimant" | "layerDigest">,
    to: Pick<LayerUse, "slot" | "directory">,
  ): void {
    this.#last = null;
    const { slot, claimant, layerDigest } = from;
    this.#prepare(`
        UPDATE snapshots SET slot = ?, layer_directory = ?
        WHERE id IN (SELECT snapshot_id FROM uses WHERE slot = ? AND claimant = ? AND layer_digest = ?)
          AND slot = ? AND layer_digest = ?`)
      .run(
        ...[to.slot, to.directory, slot, claimant, layerDigest] as const,
        ...[slot, layerDigest] as const,
      );
    this.#prepare(`
        UPDATE uses SET slot = ?, directory = ?
        WHERE slot = ? AND claimant = ? AND layer_digest = ?`)
      .run(to.slot, to.directory, slot, claimant, layerDigest);
  }

  /** Whether a snapshot keeps the layer for that claimant. */
  has({ slot, claimant }: Pick<LayerUse, "slot" | "claimant">): boolean {
    return this.#prepare(
      "SELECT 1 FROM uses WHERE slot = ? AND claimant = ? LIMIT 1",
    ).get(slot, claimant) !== undefined;
  }

  /** The number of a snapshot's image; null when it has none. */
  imageIdOf(id: number): number | null {
    const row = this.#prepare("SELECT image_id FROM snapshots WHERE id = ?")
      .get(id);
    return typeof row?.image_id === "number" ? row.image_id : null;
  }

  /** Forgets an image if no snapshot is of it. */
  forgetImage(imageId: number): void {
    this.#prepare(`
      DELETE FROM images
      WHERE id = ? AND NOT EXISTS (SELECT 1 FROM snapshots WHERE image_id = images.id)`)
      .run(imageId);
  }
}

function storedImage(row: Record<string, unknown>): StoredImage {
  const layers: ProvidedImage["layers"] = JSON.parse(String(row.layers));
  return {
    key: String(row.key),
    claimant: String(row.claimant),
    host: String(row.host),
    repository: String(row.repository),
    manifestDigest: String(row.manifest_digest),
    indexDigest: row.index_digest === null ? null : String(row.index_digest),
    ztocs: layers.map(({ ztocDigest }) => ztocDigest),
  };
}

function layerUse(row: Record<string, unknown>): LayerUse {
  return {
    position: row.position === null ? null : Number(row.position),
    slot: Number(row.slot),
    claimant: String(row.claimant),
    layerDigest: String(row.layer_digest),
    directory: String(row.directory),
  };
}
