/**
 * Artifacts of this machine: SOCI indexes, ztocs and prefetch lists that were made here or found
 * here, and what is known of them.
 *
 * Their content is in a place of `remote/content`: an OCI layout below the root (`<root>/content`), or
 * containerd's content store. Facts about them are in `<root>/artifacts.sqlite`, which answers lists,
 * finds ztocs to reuse, and decides what to push. Losing the database does no harm: {@link
 * rebuildDatabase} rebuilds it.
 *
 * It may write the database and that place. It must not know how artifacts are made, pushed or served, and
 * it asks no registry.
 * @module
 */
export {
  type ArtifactContent,
  ArtifactStore,
  type StoredContent,
  UnknownArtifactError,
} from "./store.ts";
export {
  ArtifactDatabase,
  ArtifactDatabaseError,
  type ArtifactKind,
  type ArtifactRecord,
  creationTime,
} from "./database.ts";
export { rebuildDatabase, type RebuildResult } from "./rebuild.ts";
