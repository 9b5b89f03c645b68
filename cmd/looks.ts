/** How commands that have libc look at the folders above their root. @module */
import type { Looks } from "../lib/host/files/mod.ts";
import { bytePath, entryAt, linkTarget } from "../lib/host/os/mod.ts";

/** By libc: their lists name no folder above the root. */
export const BY_LIBC: Looks = {
  at: (path) => {
    const entry = entryAt(bytePath(path));
    if (entry === null) return null;
    const { uid, mode, kind } = entry;
    return { uid, mode, isLink: kind === "link" };
  },
  linkTarget: (path) => {
    const bytes = linkTarget(bytePath(path));
    return new TextDecoder().decode(
      Uint8Array.from(bytes, (character) => character.charCodeAt(0)),
    );
  },
};
