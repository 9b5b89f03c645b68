/** `soci-deno debug snapshot`: one file to attach to a bug report. @module */
import { ConfigError, dumpConfig, loadConfig } from "../../lib/config/mod.ts";
import { askLog, StatusError } from "../../lib/host/control/mod.ts";
import { writeWhole } from "../../lib/host/files/mod.ts";
import { listMounts } from "../../lib/host/mounting/mod.ts";
import { scrub } from "../../lib/telemetry/mod.ts";
import { type Command, noArgument, parseCommandLine } from "../command.ts";
import { examine } from "../doctor/examination.ts";
import { CONTAINERD_CONFIG } from "../doctor/places.ts";
import { SESSION_OPTIONS, snapshotterOf } from "../flags.ts";
import { draftSuffix } from "../given.ts";
import { DEBUG_FILE } from "../permissions.ts";
import { daemonRoot, DEFAULT_ROOT } from "../root.ts";
import { Session, SESSION_HELP } from "../session.ts";
import { VERSION } from "../version.ts";

const HELP = `
Write one file to attach to a bug report: versions, what \`doctor\` finds, what \`status\` says, the
daemon's configuration and the last lines of its log, its mounts, and names and sizes of the files
below its root. No contents of images, and no secrets: what looks like one is taken out. Read it
before you send it: names of images and hosts are in it.

Usage: soci-deno debug snapshot [flags]

Flags:
  -o, --output FILE       where to write it (default ${DEBUG_FILE} in this folder)
  --root DIR              the daemon's root (default ${DEFAULT_ROOT};
                          also SOCI_SNAPSHOTTER_ROOT)
  --config FILE           the daemon's configuration (also SOCI_SNAPSHOTTER_CONFIG)
  --containerd-config FILE
                          containerd's configuration (default ${CONTAINERD_CONFIG})
  --snapshotter NAME      its name there (default soci; also CONTAINERD_SNAPSHOTTER)
${SESSION_HELP}
`;

/** More files than this are not listed. */
const MAX_FILES = 5_000;
const MAX_DEPTH = 3;

/** The `debug snapshot` subcommand. */
export const debugSnapshotCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        output: { type: "string", short: "o" },
        root: { type: "string" },
        config: { type: "string" },
        "containerd-config": { type: "string" },
        snapshotter: { type: "string" },
        ...SESSION_OPTIONS,
      },
    });
    noArgument(positionals, "debug snapshot");
    const root = daemonRoot(values.root);
    await using session = await Session.open(values);
    const { findings, containerd, status } = await examine(session, {
      root,
      snapshotter: snapshotterOf(values.snapshotter),
      cri: true,
      containerdConfig: values["containerd-config"],
    });
    const report = scrub({
      made: new Date().toISOString(),
      version: VERSION,
      runtime: Deno.version,
      doctor: findings,
      containerd,
      status,
      config: configOf(
        values.config ?? Deno.env.get("SOCI_SNAPSHOTTER_CONFIG"),
      ),
      mounts: listMounts().filter(({ mountpoint, root: of }) =>
        mountpoint.startsWith(`${root}/`) || of.startsWith(`${root}/`)
      ),
      files: filesBelow(root),
      log: await logOf(root),
    });
    const path = values.output ?? DEBUG_FILE;
    const text = `${JSON.stringify(report, null, 1)}\n`;
    await writeWhole(path, text, { draftPath: `${path}${draftSuffix()}` });
    console.log(
      `${path}: ${text.length} characters, without secrets as far as they can be told. Read it before you send it`,
    );
    return 0;
  },
};

function configOf(path: string | undefined): unknown {
  try {
    const { config, findings } = loadConfig(path);
    return { effective: dumpConfig(config).split("\n"), findings };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { error: error.message };
  }
}

async function logOf(root: string): Promise<unknown> {
  try {
    const lines = await askLog(`${root}/control.sock`);
    return lines?.map(parsed) ?? "no daemon runs";
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return error.message; // an older release knows no such question
  }
}

/** A line as what it says, so that secrets are found by their names, too. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return line; // it is text
  }
}

/** Names, sizes and modes: no contents. */
function filesBelow(root: string): unknown {
  const found: { path: string; bytes: number; mode: string }[] = [];
  const visit = (folder: string, depth: number) => {
    let entries: Deno.DirEntry[];
    try {
      entries = [...Deno.readDirSync(folder)];
    } catch {
      return; // gone, or a mount whose daemon is gone
    }
    for (const { name, isDirectory } of entries) {
      const path = `${folder}/${name}`;
      // What lies below is images' files, behind mounts that may hang.
      if (path === `${root}/fs` || path === `${root}/snapshotter/mapped`) {
        continue;
      }
      if (found.length >= MAX_FILES) return;
      try {
        const { size, mode } = Deno.lstatSync(path);
        found.push({
          path: path.slice(root.length + 1),
          bytes: size,
          mode: `0${((mode ?? 0) & 0o7777).toString(8)}`,
        });
      } catch {
        continue; // gone meanwhile
      }
      const isContainers = folder === `${root}/snapshotter/snapshots`;
      if (isDirectory && depth < MAX_DEPTH && !isContainers) {
        visit(path, depth + 1);
      }
    }
  };
  visit(root, 1);
  return found;
}
