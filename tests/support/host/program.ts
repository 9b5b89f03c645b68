/**
 * How tests, benchmarks and the quickstart run soci-deno: with just the permissions, and the engine's
 * flags, that it ships with.
 * @module
 */
import { V8_FLAGS } from "../../../tools/binary/launcher.ts";

/**
 * Another program than this checkout's sources: the single binary, or the launcher of a bundle. The tests of a
 * whole host then run that.
 */
const PROGRAM = Deno.env.get("SOCI_DENO_TEST_PROGRAM");
/** A folder with a bundle of this checkout: the same program in half the time. */
const BUNDLE = Deno.env.get("SOCI_DENO_TEST_BUNDLE");

const ROOT = new URL("../../../", import.meta.url).pathname;

/** Where the modules lie that `sociDenoCommand` runs, with a slash at its end. */
export const PROGRAM_FOLDER: string = BUNDLE === undefined
  ? ROOT
  : `${BUNDLE}/`;

type Grants = Record<string, true | readonly string[]>;

/** The permission sets of `deno.json`, by subcommand; `binary` is what the compiled program holds. */
export function permissionSets(): Record<string, Grants> {
  return JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`)).permissions;
}

/** A permission set as flags. `-P` would do the same, but prints a warning to stderr. */
export function permissionFlags(grants: Grants): string[] {
  return Object.entries(grants).map(([kind, scope]) =>
    scope === true ? `--allow-${kind}` : `--allow-${kind}=${scope.join(",")}`
  );
}

/**
 * Program and arguments that run a subcommand from this checkout with exactly the permissions of
 * the compiled binary. The subcommand itself gives up those it does not use.
 */
export function sociDenoCommand(
  ...args: string[]
): { program: string; args: string[] } {
  return sociDenoWith([], ...args);
}

/** `sociDenoCommand` with further flags of `deno run`, such as a module to load before ours. */
export function sociDenoWith(
  denoFlags: readonly string[],
  ...args: string[]
): { program: string; args: string[] } {
  if (PROGRAM !== undefined) {
    if (denoFlags.length > 0) {
      throw new Error(`${PROGRAM} takes no flags of Deno`);
    }
    return { program: PROGRAM, args: [...args] };
  }
  const grants = permissionSets()["binary"] as Grants;
  // What is loaded before ours, or watches it, knows our modules by their sources.
  const sources = BUNDLE === undefined || denoFlags.length > 0;
  const folder = sources ? ROOT : PROGRAM_FOLDER;
  return {
    program: Deno.execPath(),
    args: [
      ...["run", "--no-check", "--no-prompt", "--quiet"],
      ...["--config", `${folder}deno.json`, "--unstable-worker-options"],
      ...permissionFlags(grants),
      `--v8-flags=${V8_FLAGS.join(",")}`,
      ...denoFlags,
      `${folder}main.${sources ? "ts" : "js"}`,
      ...args,
    ],
  };
}

/**
 * `sociDenoCommand` as a link of another name starts it.
 * @param folder gets the link, or what stands for one.
 */
export async function sociDenoNamed(
  folder: string,
  name: string,
): Promise<{ program: string; args: string[] }> {
  if (PROGRAM !== undefined) {
    await Deno.symlink(PROGRAM, `${folder}/${name}`);
    return { program: `${folder}/${name}`, args: [] };
  }
  const { program, args } = sociDenoCommand();
  const main = args.pop()!;
  await Deno.writeTextFile(
    `${folder}/${name}.ts`,
    `import { main } from "file://${main}"; Deno.exit(await main(Deno.args));`,
  );
  return { program, args: [...args, `${folder}/${name}.ts`] };
}
