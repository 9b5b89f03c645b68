import type { StatementSync } from "node:sqlite";
import type { ProvidedImage, ServedLayer } from "./provider.ts";
import type { Labels } from "./types.ts";

/** A layer that a snapshot keeps: its own, or one that its image has below it. */
export interface LayerUse {
  /** From the bottom of the image, 0; null in the state of a release that did not keep it. */
  readonly position: number | null;
  readonly slot: number;
  /** For whom; empty in the state of a release that did not keep it. */
  readonly claimant: string;
  readonly layerDigest: string;
  readonly directory: string;
}

/** The image of a lazily served snapshot. */
export interface StoredImage {
  readonly key: string;
  readonly claimant: string;
  readonly host: string;
  readonly repository: string;
  readonly manifestDigest: string;
  readonly indexDigest: string | null;
}

/** Which layers snapshots keep, and of which images: a part of the snapshotter's database. */
export class StoredUses {
  readonly #prepare: (sql: string) => StatementSync;

  /** @param prepare makes a statement, or gives the one made before. */
  constructor(prepare: (sql: string) => StatementSync) {
    this.#prepare = prepare;
  }

  /** The number of an image, which is stored when it is new. */
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

  /** A new snapshot keeps these layers, bottom first; its own is the last. */
  add(
    id: number,
    layers: readonly (Omit<ServedLayer, "owner"> | null)[],
    { claimant }: ProvidedImage,
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

  /** All layers a snapshot keeps, bottom first; its own is the last. */
  of(id: number): LayerUse[] {
    return this.#prepare(
      "SELECT * FROM uses WHERE snapshot_id = ? ORDER BY position",
    ).all(id).map(layerUse);
  }

  /** Every layer that any snapshot keeps, once for each claimant, with labels of one of these snapshots. */
  all(): (LayerUse & { readonly labels: Labels })[] {
    return this.#prepare(`
      SELECT u.*, s.labels FROM uses u JOIN snapshots s ON s.id = u.snapshot_id
      GROUP BY u.slot, u.claimant, u.layer_digest ORDER BY min(s.id)`)
      .all().map((row) => ({
        ...layerUse(row),
        labels: JSON.parse(String(row.labels)),
      }));
  }

  /** The image a lazily served snapshot is of; null in the state of a release that did not keep it. */
  imageOf(id: number): StoredImage | null {
    const row = this.#prepare(
      "SELECT i.* FROM images i JOIN snapshots s ON s.image_id = i.id WHERE s.id = ?",
    ).get(id);
    return row === undefined ? null : {
      key: String(row.key),
      claimant: String(row.claimant),
      host: String(row.host),
      repository: String(row.repository),
      manifestDigest: String(row.manifest_digest),
      indexDigest: row.index_digest === null ? null : String(row.index_digest),
    };
  }

  /** Stores where a lazily served layer is shown now, for all snapshots that keep it for that claimant. */
  move(
    from: Pick<LayerUse, "slot" | "claimant" | "layerDigest">,
    to: Pick<LayerUse, "slot" | "directory">,
  ): void {
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

  /** Whether any snapshot keeps the layer for that claimant. */
  has({ slot, claimant }: Pick<LayerUse, "slot" | "claimant">): boolean {
    return this.#prepare(
      "SELECT 1 FROM uses WHERE slot = ? AND claimant = ? LIMIT 1",
    ).get(slot, claimant) !== undefined;
  }

  /** Images that no snapshot is of are forgotten. */
  forgetImages(): void {
    this.#prepare(
      "DELETE FROM images WHERE id NOT IN (SELECT image_id FROM snapshots WHERE image_id IS NOT NULL)",
    ).run();
  }
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
