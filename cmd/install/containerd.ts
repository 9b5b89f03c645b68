/** What containerd is told, by its version and that of its file. @module */
import { parse } from "smol-toml";
import { UsageError } from "../command.ts";
import { DEFAULT_ROOT } from "../root.ts";
import { type Setting, TomlEditError } from "./toml_edit.ts";

/** `{ major: 1, minor: 7 }`. */
export interface Release {
  readonly major: number;
  readonly minor: number;
}

/** Reads `containerd --version`, or what `--containerd` says. @returns null: it says none */
export function releaseIn(text: string): Release | null {
  const match = /(?:^|\s)v?(\d+)\.(\d+)(?:\.|\s|$|[~+-])/.exec(text);
  if (match === null) return null;
  return { major: Number(match[1]), minor: Number(match[2]) };
}

/** @throws UsageError for a release that this does not know how to tell */
export function assertKnown({ major, minor }: Release): void {
  if (major === 1 && minor >= 6 || major === 2) return;
  throw new UsageError(
    `containerd ${major}.${minor} is not known here, 1.6, 1.7 and 2.x are: write its configuration by hand (docs/containerd.md)`,
  );
}

/**
 * What a new file begins with, so that it says what containerd does without one: 2.2 and newer then import a folder,
 * where other programs may have put theirs.
 */
export function withoutFile({ major, minor }: Release): string {
  return major > 2 || (major === 2 && minor >= 2)
    ? 'imports = ["/etc/containerd/conf.d/*.toml"]\n'
    : "";
}

/** The socket of the shipped unit. */
const ADDRESS = "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock";

const SOCI = ["proxy_plugins", "soci"];
const CRI_2 = ["plugins", "io.containerd.grpc.v1.cri", "containerd"];
const CRI_3 = ["plugins", "io.containerd.cri.v1.images"];

/**
 * What its `config.toml` must say. The names go by the version of the file: containerd 2 reads files of version 2,
 * too, and translates them, but not where they are mixed with tables of version 3.
 *
 * In the file itself and in no file that it imports: containerd 1.x replaces a plugin's whole table by an imported
 * one, so that pause image and CNI folders would be lost, and 2.1 does not translate imported files of version 2.
 * @param text the file as it is; empty where there is none.
 * @param kubernetes whether images of Kubernetes are to be lazy.
 * @throws TomlEditError
 */
export function containerdSettings(
  text: string,
  release: Release,
  kubernetes: boolean,
): readonly Setting[] {
  const config = parsed(text);
  const settings: Setting[] = [
    { table: SOCI, key: "type", value: "snapshot" },
    { table: SOCI, key: "address", value: ADDRESS },
  ];
  const newer = release.major > 1 || release.minor > 6;
  if (newer) {
    settings.push({
      ...{ table: [...SOCI, "exports"], key: "root", value: DEFAULT_ROOT },
    });
  }
  if (release.major >= 2) {
    settings.push({
      table: [...SOCI, "exports"],
      key: "enable_remote_snapshot_annotations",
      value: "true",
    });
  }
  // The table of the snapshotter is the same in all versions of the file.
  if (!kubernetes || !servesKubernetes(text)) return settings;
  const version = versionOf(config, release);
  settings.unshift({ table: [], key: "version", value: version });
  const table = version === 2 ? CRI_2 : CRI_3;
  settings.push({ table, key: "snapshotter", value: "soci" }, {
    ...{ table, key: "disable_snapshot_annotations", value: false },
  });
  // containerd 2 takes nothing at all out of the table of a file of version 2 that names no runtime.
  if (version === 2 && release.major >= 2 && !namesRuntimes(config)) {
    settings.push({
      table: [...CRI_2, "runtimes", "runc"],
      key: "runtime_type",
      value: "io.containerd.runc.v2",
    });
  }
  return settings;
}

/** @throws TomlEditError */
function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    return parse(text);
  } catch (cause) {
    const [line = ""] = cause instanceof Error ? cause.message.split("\n") : [];
    throw new TomlEditError(line, { cause });
  }
}

function namesRuntimes(config: unknown): boolean {
  let at = config;
  for (const key of [...CRI_2, "runtimes"]) {
    if (typeof at !== "object" || at === null) return false;
    at = (at as Record<string, unknown>)[key];
  }
  return at !== undefined;
}

/** Whether the file leaves Kubernetes' interface on: Docker's containerd.io turns it off. @throws TomlEditError */
export function servesKubernetes(text: string): boolean {
  const { disabled_plugins: disabled } = parsed(text);
  return !Array.isArray(disabled) ||
    !disabled.some((name) =>
      name === "cri" || name === "io.containerd.grpc.v1.cri"
    );
}

/** What has other names in other versions of the file. */
const NAMED = ["plugins", "disabled_plugins", "required_plugins"];

function versionOf(
  config: Readonly<Record<string, unknown>>,
  { major }: Release,
): 2 | 3 {
  const { version } = config;
  if (version === 2) return 2;
  if (version === 3 && major >= 2) return 3;
  if (version !== undefined && version !== 1) {
    throw new TomlEditError(
      `version ${String(version)} is not known to containerd ${major}`,
    );
  }
  const named = NAMED.filter((key) => config[key] !== undefined);
  if (named.length === 0 && version === undefined) return major >= 2 ? 3 : 2;
  throw new TomlEditError(
    `it is of version 1 (it lacks \`version = 2\`): bring it to version 2 first (\`containerd config migrate\`, or give ${
      named.join(" and ") || "it"
    } the names of version 2), or say --no-kubernetes`,
  );
}
