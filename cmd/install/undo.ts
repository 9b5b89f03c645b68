/** What takes an installation back. @module */
import type { Change } from "./changes.ts";
import {
  CONTAINERD_CONFIG,
  DAEMON_CONFIG,
  ENABLED,
  FOLDERS,
  UNITS,
} from "./places.ts";
import type { InstallRecord } from "./record.ts";
import { TomlEditError, unsetKeys } from "./toml_edit.ts";
import { type Tree, TreeError } from "./tree.ts";

/** What has to be done. */
export interface Undoing {
  readonly changes: readonly Change[];
  /** Links of `systemctl enable` that would lead nowhere: they go, too. */
  readonly links: readonly string[];
  /** For people: what stays, and why. */
  readonly kept: readonly string[];
}

/**
 * Every file as it was. containerd's, where people have changed it since, loses what was set in it and nothing else;
 * a changed configuration of the daemon stays.
 * @param force whether changed units go, too
 * @throws TreeError, FileError
 */
export function planUninstall(
  tree: Tree,
  { files }: InstallRecord,
  force: boolean,
): Undoing {
  const changes: Change[] = [];
  const kept: string[] = [];
  for (const { path, before, after, mode, keys } of files.toReversed()) {
    const now = tree.read(path);
    if (now === before || now === null) continue;
    if (now === after) {
      changes.push({ path, now, then: before, mode });
    } else if (path === CONTAINERD_CONFIG) {
      const then = withoutOurs(tree, now, keys);
      if (then !== now) changes.push({ path, now, then, mode });
    } else if (path === DAEMON_CONFIG) {
      kept.push(`${tree.at(path)}, which was changed`);
    } else if (force) {
      changes.push({ path, now, then: before, mode });
    } else {
      throw new TreeError(
        `${
          tree.at(path)
        } was changed since it was installed: --force takes it away all the same`,
      );
    }
  }
  return { changes, links: linksOf(tree, files), kept };
}

/** The links of units that were not there before. */
function linksOf(tree: Tree, files: InstallRecord["files"]): string[] {
  return UNITS.flatMap((name) => {
    const path = `${FOLDERS.units}/${name}`;
    const isOurs = files.some((file) =>
      file.path === path && file.before === null
    );
    const link = `${ENABLED[name]}/${name}`;
    return isOurs && tree.link(link) === path ? [link] : [];
  });
}

function withoutOurs(
  tree: Tree,
  now: string,
  keys: Parameters<typeof unsetKeys>[1],
): string {
  try {
    return unsetKeys(now, keys);
  } catch (error) {
    if (!(error instanceof TomlEditError)) throw error;
    throw new TreeError(
      `${
        tree.at(CONTAINERD_CONFIG)
      } was changed since, and what was set cannot be taken out (${error.message}): take it out by hand`,
    );
  }
}
