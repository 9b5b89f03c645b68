/** A mount namespace in which a program finds nothing but itself and the machine. @module */

/** A program in such a namespace. What it mounts below `folder` is seen outside, too. */
export interface SealedProgram extends AsyncDisposable {
  /** Runs the program there, with the arguments it is given. */
  readonly launcher: string;
  /** Runs another program of the machine there. */
  run(...command: string[]): Promise<Deno.CommandOutput>;
}

/** Mounts of the namespace go nowhere and come from nowhere, except below $1. The other arguments are covered. */
const SEAL = `set -e
folder=$1; shift
while read -r _ _ _ _ path _ rest; do
  case $path in "$folder"|"$folder"/*) continue;; esac
  case $rest in *shared:*) mount --make-private "$path";; esac
done </proc/self/mountinfo
for path; do mount -t tmpfs -o ro,size=4k,mode=755 none "$path"; done
echo sealed
exec sleep infinity`;

/**
 * @param folder is made shared with the namespace; it holds the program and all that the program works on.
 * @param covered folders that are empty there.
 */
export async function sealProgram(
  program: string,
  folder: string,
  covered: readonly string[],
): Promise<SealedProgram> {
  await mount("--bind", folder, folder);
  await mount("--make-private", folder);
  await mount("--make-shared", folder);
  const holder = new Deno.Command("unshare", {
    args: [
      ...["--mount", "--propagation", "unchanged", "sh", "-c", SEAL, "sh"],
      ...[folder, ...covered],
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = holder.stdout.getReader();
  const { value } = await reader.read();
  if (!new TextDecoder().decode(value).includes("sealed")) {
    throw new Error("the mount namespace could not be made");
  }
  const enter = [
    "nsenter",
    `--mount=/proc/${holder.pid}/ns/mnt`,
    `--wd=${folder}`,
  ];
  const launcher = `${folder}/launcher`;
  await Deno.writeTextFile(
    launcher,
    `#!/bin/sh\nexec ${enter.join(" ")} ${program} "$@"\n`,
    { mode: 0o755 },
  );
  return {
    launcher,
    run: (...command) =>
      new Deno.Command("nsenter", { args: [...enter.slice(1), ...command] })
        .output(),
    async [Symbol.asyncDispose]() {
      holder.kill("SIGKILL");
      await holder.status;
      await reader.cancel();
      await new Deno.Command("umount", { args: ["--lazy", folder] }).output();
    },
  };
}

async function mount(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("mount", { args })
    .output();
  if (success) return;
  throw new Error(
    `mount ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`,
  );
}
