import {
  attachMappedClone,
  closeFd,
  type IdMaps,
  openUserNamespace,
  OsError,
} from "../os/mod.ts";

/** Directories to be shown a second time, their owners mapped. */
export interface MappedRequest {
  /** Where, each an existing directory of its own. */
  readonly clones: readonly {
    readonly source: string;
    readonly target: string;
  }[];
  /** How; see `openUserNamespace`. */
  readonly maps: IdMaps;
}

/** Why directories could not be mapped. */
export interface MappedFailure {
  /** The call: `clone` and `write` for the user namespace, or one of `attachMappedClone`. */
  readonly call: string;
  /** Name of its error, such as `EINVAL`; a sentence where it is none of the system's. */
  readonly code: string;
  /** The directory that was being mapped; null when it was the namespace. */
  readonly source: string | null;
}

/**
 * Attaches the clones in their order. At a failure, those before it are attached.
 * @param goesOn asked before each.
 */
export function attachMapped(
  { clones, maps }: MappedRequest,
  goesOn: () => boolean,
): MappedFailure | null {
  let at: string | null = null;
  let namespace = -1;
  try {
    namespace = openUserNamespace(maps);
    for (const { source, target } of clones) {
      at = source;
      if (!goesOn()) return { call: "", code: "interrupted", source };
      attachMappedClone(source, target, namespace);
    }
    return null;
  } catch (error) {
    if (error instanceof OsError) {
      return { call: error.syscall, code: error.code, source: at };
    }
    if (!(error instanceof TypeError)) throw error;
    return { call: "", code: error.message, source: at }; // libc is too old
  } finally {
    if (namespace >= 0) closeFd(namespace);
  }
}
