/**
 * `soci-deno install`: units, the daemon's configuration, and what containerd must be told.
 * @module
 */
import { parse } from "smol-toml";
import { isAbsolute } from "node:path";
import {
  type Command,
  noArgument,
  parseCommandLine,
  UsageError,
} from "./command.ts";
import { agreed, make } from "./install/changes.ts";
import {
  assertKnown,
  type Release,
  releaseIn,
  servesKubernetes,
} from "./install/containerd.ts";
import { ownProgram } from "./install/packaged.ts";
import {
  CONTAINERD_CONFIG,
  CONTAINERD_PROGRAMS,
  DEFAULT_PROGRAM,
  FOLDERS,
  RECORD,
  treeRoot,
} from "./install/places.ts";
import { planInstall, programLacks } from "./install/plan.ts";
import {
  type InstallRecord,
  readRecord,
  writeRecord,
} from "./install/record.ts";
import { Tree, TreeError } from "./install/tree.ts";

const HELP = `
Put soci-deno on this host: its units for systemd, its configuration where there is none, and in
containerd's configuration what makes it pull lazily. What will change is shown first.

Usage: soci-deno install [flags]

Flags:
  --dry-run             show what would change, and write nothing
  --yes                 do not ask
  --force               replace units of others (uninstall brings them back)
  --no-kubernetes       have containerd know the snapshotter, and leave Kubernetes' images to the one they
                        have
  --root DIR            another tree than /, such as one that becomes an image; an absolute path
  --program PATH        where the program is on that host (default: where this one is, or
                        ${DEFAULT_PROGRAM})
  --containerd VERSION  which containerd it has, such as 1.7 (default: what its \`containerd --version\` says)

containerd 1.6, 1.7 and 2.x are known. Its config.toml is edited in place: single keys are set and
all else stays, byte for byte. A second run changes nothing, or mends what a killed one left.
Nothing is started; the commands for that are shown at the end. \`soci-deno uninstall\` takes it back.
`;

/** The `install` subcommand. */
export const installCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        "dry-run": { type: "boolean", default: false },
        yes: { type: "boolean", default: false },
        force: { type: "boolean", default: false },
        "no-kubernetes": { type: "boolean", default: false },
        root: { type: "string" },
        program: { type: "string" },
        containerd: { type: "string" },
      },
    });
    noArgument(positionals, "install");
    const tree = treeOf(values.root);
    const { release, program: containerd } = await findContainerd(
      tree,
      values.containerd,
    );
    const noted = readRecord(tree);
    const program = programFor(tree, values.program);
    const plan = planInstall(tree, noted, {
      program,
      release,
      kubernetes: !values["no-kubernetes"],
      force: values.force,
    });
    for (const what of plan.kept) console.log(`stays as it is: ${what}`);
    if (plan.changes.length === 0) {
      console.log("All is installed already.");
      return 0;
    }
    const lacks = programLacks(tree, plan, program);
    // A tree may get its program later. On this host all pulls by Kubernetes would fail until it is there.
    if (lacks !== null && tree.root === "" && !values["dry-run"]) {
      throw new TreeError(
        `${lacks}: put it there first (docs/binary.md), or name it by --program; nothing was written`,
      );
    }
    if (lacks !== null) console.log(`to do: ${lacks}`);
    if (!agreed(tree, plan.changes, values)) return 0;
    tree.make(FOLDERS.record);
    await writeRecord(tree, plan.record);
    for (const folder of plan.record.folders) tree.make(folder);
    const config = plan.changes.find(({ path }) => path === CONTAINERD_CONFIG);
    if (config?.then && containerd !== null) {
      try {
        await tryConfig(
          tree,
          containerd,
          config.then,
          !values["no-kubernetes"] && servesKubernetes(config.then),
        );
      } catch (error) {
        await takeBack(tree, noted, plan.record.folders);
        throw error;
      }
    }
    await make(tree, plan.changes);
    console.log(tree.root === "" ? NEXT : "Installed.");
    return 0;
  },
};

/** As if nothing had been begun. */
async function takeBack(
  tree: Tree,
  noted: InstallRecord | null,
  folders: readonly string[],
): Promise<void> {
  if (noted === null) await tree.remove(RECORD);
  else await writeRecord(tree, noted);
  for (const folder of [FOLDERS.record, ...folders.toReversed()]) {
    tree.removeEmpty(folder);
  }
}

const NEXT = `Installed. To start it:
  systemctl daemon-reload
  systemctl enable --now soci-snapshotter.socket soci-snapshotter.service
  systemctl restart containerd`;

/** The tree that `--root` names. @throws UsageError */
export function treeOf(flag: string | undefined): Tree {
  if (flag !== undefined && !isAbsolute(flag)) {
    throw new UsageError("--root must be an absolute path");
  }
  return new Tree(treeRoot(flag));
}

/** @throws UsageError */
function programFor(tree: Tree, flag: string | undefined): string {
  const own = ownProgram();
  const path = flag ??
    (own?.startsWith(`${tree.root}/`) ? own.slice(tree.root.length) : null) ??
    DEFAULT_PROGRAM;
  // systemd would read spaces, quotes and percent signs as its own.
  if (/^(\/[A-Za-z0-9._+-]+)+$/.test(path)) return path;
  throw new UsageError(
    `--program: "${path}" must be an absolute path of letters, digits and . _ + -`,
  );
}

/** @throws UsageError where there is none and nothing is said */
async function findContainerd(
  tree: Tree,
  said: string | undefined,
): Promise<{ readonly release: Release; readonly program: string | null }> {
  if (said !== undefined) {
    const release = releaseIn(`${said}.`);
    if (release === null) {
      throw new UsageError(`--containerd: "${said}" is no version such as 1.7`);
    }
    assertKnown(release);
    return { release, program: null };
  }
  const program = CONTAINERD_PROGRAMS.map((path) => tree.at(path))
    .find((path) => {
      try {
        return Deno.statSync(path).isFile;
      } catch {
        return false; // not there
      }
    });
  if (program === undefined) {
    throw new UsageError(
      `there is no containerd at ${
        CONTAINERD_PROGRAMS.map((path) => tree.at(path)).join(" or ")
      }: install it first, or say its version by --containerd`,
    );
  }
  const { out, error } = await output(program, "--version");
  const release = releaseIn(out);
  if (release === null) {
    throw new UsageError(
      `${program} does not say its version (${
        (error || out).trim().split("\n")[0]
      }): say it by --containerd`,
    );
  }
  assertKnown(release);
  return { release, program };
}

/**
 * Has containerd read the file before it gets its name, together with what it imports.
 * @throws TreeError where it would do something else
 */
async function tryConfig(
  tree: Tree,
  containerd: string,
  text: string,
  kubernetes: boolean,
): Promise<void> {
  const path = `${CONTAINERD_CONFIG}.soci-deno-try`;
  await tree.write(path, text, 0o600);
  try {
    const { out, error } = await output(
      ...[containerd, "--config", tree.at(path), "config", "dump"] as const,
    );
    const lacks = whatLacks(out, kubernetes);
    if (lacks === null) return;
    throw new TreeError(
      `with this file containerd would not ${lacks}${
        error.trim() === "" ? "" : ` (${error.trim().split("\n").at(-1)})`
      }: a file that it imports may say otherwise; nothing was written`,
    );
  } finally {
    await tree.remove(path);
  }
}

function whatLacks(dump: string, kubernetes: boolean): string | null {
  // deno-lint-ignore no-explicit-any
  let config: any;
  try {
    config = parse(dump);
  } catch {
    return "start";
  }
  if (config.proxy_plugins?.soci?.type !== "snapshot") {
    return "know the snapshotter";
  }
  const { plugins = {} } = config;
  const used = plugins["io.containerd.cri.v1.images"]?.snapshotter ??
    plugins["io.containerd.grpc.v1.cri"]?.containerd?.snapshotter;
  return kubernetes && used !== undefined && used !== "soci"
    ? "use it for Kubernetes' images"
    : null;
}

async function output(
  program: string,
  ...args: string[]
): Promise<{ readonly out: string; readonly error: string }> {
  const { stdout, stderr } = await new Deno.Command(program, {
    args,
    stdin: "null",
    signal: AbortSignal.timeout(30_000),
  }).output();
  const decoder = new TextDecoder();
  return { out: decoder.decode(stdout), error: decoder.decode(stderr) };
}
