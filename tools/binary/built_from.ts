/** From which commit a bundle is made. @module */
import { ROOT } from "./starts.ts";

async function git(...args: string[]): Promise<string | null> {
  try {
    const { success, stdout } = await new Deno.Command("git", {
      args: ["-C", ROOT, ...args],
      stderr: "null",
    }).output();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null; // no git here
    throw error;
  }
}

/** Where a bundle comes from. */
export interface Origin {
  /** `0123456789ab, 2026-01-31`; with `, changed` if files of the product differ from the commit. Empty without one. */
  readonly text: string;
  /** When the commit was made: the time of all files of a bundle. */
  readonly time: Date;
}

/** What the product and its bundle are made of. */
const PRODUCT = [
  ...["main.ts", "cmd", "lib", "packaging", "tools/binary", "deno.json"],
];

/**
 * The commit that is checked out. Not the time of the build: one tree gives one bundle. Outside of a repository
 * SOURCE_DATE_EPOCH says the time, else it is 1980.
 */
export async function builtFrom(): Promise<Origin> {
  const commit = await git("log", "-1", "--format=%H %cs %ct");
  if (commit === null) {
    const seconds = Number(Deno.env.get("SOURCE_DATE_EPOCH") ?? 315_532_800);
    return { text: "", time: new Date(seconds * 1000) };
  }
  const [hash = "", date = "", seconds = ""] = commit.split(" ");
  const changes = await git("status", "--porcelain", "--", ...PRODUCT);
  return {
    text: [hash.slice(0, 12), date, ...(changes === "" ? [] : ["changed"])]
      .join(", "),
    time: new Date(Number(seconds) * 1000),
  };
}
