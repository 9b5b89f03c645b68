/** What an installation has to change, and what its record must then say. @module */
import type { Change } from "./changes.ts";
import { containerdSettings, type Release, withoutFile } from "./containerd.ts";
import { packaged, unitFor } from "./packaged.ts";
import {
  BASES,
  CONTAINERD_CONFIG,
  DAEMON_CONFIG,
  FOLDERS,
  UNITS,
  VENDOR_UNITS,
} from "./places.ts";
import type { InstallRecord, RecordedFile } from "./record.ts";
import { oldKeys, setKeys, TomlEditError, unsetKeys } from "./toml_edit.ts";
import { type Tree, TreeError } from "./tree.ts";

/** What is installed. */
export interface Wanted {
  /** Path of the program in the tree, for the unit. */
  readonly program: string;
  readonly release: Release;
  readonly kubernetes: boolean;
  /** Whether files of others are replaced. */
  readonly force: boolean;
}

/** What has to be done. */
export interface Plan {
  readonly changes: readonly Change[];
  readonly record: InstallRecord;
  /** For people: what stays as it is, and why. */
  readonly kept: readonly string[];
}

const MODE = 0o644;

/** @throws TreeError for a file of somebody else's, FileError */
export function planInstall(
  tree: Tree,
  noted: InstallRecord | null,
  wanted: Wanted,
): Plan {
  const changes: Change[] = [];
  const kept: string[] = [];
  const files = new Map((noted?.files ?? []).map((file) => [file.path, file]));
  const note = (now: string | null, file: RecordedFile) => {
    files.set(file.path, file);
    const { path, after, mode } = file;
    changes.push({ path, now, then: after, mode });
  };
  const vendor = vendorUnits(tree, wanted);
  if (vendor !== null) kept.push(`the units of a package, in ${vendor}`);
  for (const name of vendor === null ? UNITS : []) {
    const path = `${FOLDERS.units}/${name}` as const;
    const after = unitFor(name, wanted.program);
    const now = tree.read(path);
    if (now === after) continue;
    const old = files.get(path);
    if (now !== null && now !== old?.after && now !== old?.before) {
      if (!wanted.force) {
        throw new TreeError(
          `${
            tree.at(path)
          } is there and is not what was installed: --force replaces it (uninstall brings it back)`,
        );
      }
    }
    const before = now === old?.after ? old!.before : now;
    note(now, { path, before, after, mode: MODE, keys: [] });
  }
  const daemon = tree.read(DAEMON_CONFIG);
  const packagedConfig = packaged("config.toml");
  if (daemon === null) {
    note(null, {
      ...{ path: DAEMON_CONFIG, before: null, after: packagedConfig },
      ...{ mode: MODE, keys: [] },
    });
  } else if (daemon !== packagedConfig) kept.push(tree.at(DAEMON_CONFIG));
  const config = containerdFile(tree, files.get(CONTAINERD_CONFIG), wanted);
  if (config !== null) note(tree.read(CONTAINERD_CONFIG), config);
  const folders = changes.flatMap(({ path }) => {
    const base = BASES.find((one) => path.startsWith(`${one}/`))!;
    return tree.missing(path, base);
  });
  return {
    ...{ changes, kept },
    record: {
      version: 1,
      files: [...files.values()],
      folders: [
        ...new Set([...noted?.folders ?? [], ...folders]),
      ] as InstallRecord["folders"],
    },
  };
}

/** What to tell of units that would start nothing; null where there is nothing to tell. */
export function programLacks(
  tree: Tree,
  { changes }: Plan,
  program: string,
): string | null {
  const starts = changes.some(({ path }) =>
    path.startsWith(`${FOLDERS.units}/`)
  );
  return starts && !tree.has(program)
    ? `there is no ${tree.at(program)}, which the unit starts`
    : null;
}

/** containerd's file; null where it says what it must. @throws TreeError */
function containerdFile(
  tree: Tree,
  old: RecordedFile | undefined,
  { release, kubernetes }: Wanted,
): RecordedFile | null {
  const now = tree.read(CONTAINERD_CONFIG);
  try {
    // What it was before the first installation, with what people changed since.
    const before = now === old?.after
      ? old!.before
      : now !== null && old !== undefined
      ? unsetKeys(now, old.keys)
      : now;
    const text = before ?? withoutFile(release);
    const settings = containerdSettings(text, release, kubernetes);
    if (now !== null && setKeys(now, settings) === now) return null;
    return {
      path: CONTAINERD_CONFIG,
      before,
      after: setKeys(text, settings),
      mode: tree.mode(CONTAINERD_CONFIG) ?? MODE,
      keys: oldKeys(text, settings).map(({ table, ...rest }) => ({
        ...rest,
        table: [...table],
      })),
    };
  } catch (error) {
    if (!(error instanceof TomlEditError)) throw error;
    throw new TreeError(`${tree.at(CONTAINERD_CONFIG)}: ${error.message}`);
  }
}

/** The folder where a package put our units; null where none did. @throws TreeError for another program's */
function vendorUnits(tree: Tree, { force }: Wanted): string | null {
  for (const folder of VENDOR_UNITS) {
    const path = `${folder}/${UNITS[0]}`;
    let text: string;
    try {
      text = Deno.readTextFileSync(tree.at(path));
    } catch {
      continue; // no such package
    }
    const [, program = ""] = /^ExecStart=(\S+)/m.exec(text) ?? [];
    if (program.endsWith("/soci-deno")) return folder;
    if (!force) {
      throw new TreeError(
        `${
          tree.at(path)
        } starts ${program}: remove that package first, or say --force to have its unit replaced by ours`,
      );
    }
  }
  return null;
}
