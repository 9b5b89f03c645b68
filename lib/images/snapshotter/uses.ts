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

/** The tables of images, and of the layers that snapshots keep: a part of the snapshotter's database. */
export class StoredUses {
  readonly #prepare: (sql: string) => StatementSync;
  /** Of the snapshot that was asked about last: a Prepare asks several times about its parent. */
  #last: { readonly id: number; readonly uses: readonly LayerUse[] } | null =
    null;

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
    if (parentId !== null && this.#keeps(parentId, layers, claimant)) {
      this.#prepare("UPDATE snapshots SET inherits = 1 WHERE id = ?").run(id);
      const own = layers.length - 1;
      return this.#add(
        id,
        layers.map((layer, at) => at < own ? null : layer),
        claimant,
      );
    }
    this.#add(id, layers, claimant);
  }

  /** Whether a snapshot keeps just these layers, but for the last. */
  #keeps(
    id: number,
    layers: readonly (Omit<ServedLayer, "owner"> | null)[],
    claimant: string,
  ): boolean {
    const kept = new Map(this.of(id).map((use) => [use.position, use]));
    const below = layers.slice(0, -1);
    if (kept.size !== below.filter((layer) => layer !== null).length) {
      return false;
    }
    return below.every((layer, at) => {
      const use = kept.get(at);
      return layer === null
        ? use === undefined
        : use?.slot === layer.slot && use.claimant === claimant &&
          use.layerDigest === layer.layerDigest;
    });
  }

  #add(
    id: number,
    layers: readonly (Omit<ServedLayer, "owner"> | null)[],
    claimant: string,
  ): void {
    const insert = this.#prepare(`
      INSERT INTO uses (snapshot_id, position, slot, claimant, layer_digest, directory)
      VALUES (?, ?, ?, ?, ?, ?)`);
    for (const [position, layer] of layers.entries()) {
      if (layer === null) continue;
      const { slot, layerDigest, directory } = layer;
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

  /** Forgets images without snapshots. */
  forgetImages(): void {
    this.#prepare(
      "DELETE FROM images WHERE id NOT IN (SELECT image_id FROM snapshots WHERE image_id IS NOT NULL)",
    ).run();
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
