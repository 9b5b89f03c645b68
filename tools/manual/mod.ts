/**
 * `deno task manual`: writes what is made of the commands' help: the table of completion and the reference. With
 * `--check` it only says whether they are as they would be written. With `man DIR` it writes the manual pages.
 * @module
 */
import { VERSION } from "../../cmd/version.ts";
import { builtFrom } from "../binary/built_from.ts";
import { formatted } from "../formatted.ts";
import { readHelp } from "./help.ts";
import { manualPages } from "./man.ts";
import { referencePage } from "./page.ts";
import { completionModule } from "./table.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The files that are made, by their paths from the root, as they should be. */
export async function madeOfHelp(): Promise<Readonly<Record<string, string>>> {
  const { commands, groups } = await readHelp();
  return {
    "cmd/completion/lines.ts": await formatted(
      completionModule(commands, groups),
      "ts",
    ),
    "docs/reference.md": await formatted(referencePage(commands, groups), "md"),
  };
}

/** Those of them that are not as they should be. */
export async function stale(): Promise<readonly string[]> {
  return Object.entries(await madeOfHelp())
    .filter(([path, text]) => textOf(path) !== text).map(([path]) => path);
}

function textOf(path: string): string | null {
  try {
    return Deno.readTextFileSync(`${ROOT}${path}`);
  } catch {
    return null; // not made yet
  }
}

/** Writes the manual pages. @returns how many. */
export async function writeManual(folder: string): Promise<number> {
  const { commands, groups } = await readHelp();
  const { time } = await builtFrom();
  const date = time.toISOString().slice(0, 10);
  const pages = manualPages(commands, groups, { version: VERSION, date });
  await Deno.mkdir(folder, { recursive: true });
  for (const { name, text } of pages) {
    await Deno.writeTextFile(`${folder}/${name}`, text);
  }
  return pages.length;
}

async function main([what, folder]: readonly string[]): Promise<number> {
  if (what === "man") {
    const to = folder ?? `${ROOT}dist/man`;
    console.log(`${to}: ${await writeManual(to)} pages`);
    return 0;
  }
  if (what === "--check") {
    const wrong = await stale();
    for (const path of wrong) {
      console.error(`${path} is not what the help says: run deno task manual`);
    }
    return wrong.length === 0 ? 0 : 1;
  }
  for (const [path, text] of Object.entries(await madeOfHelp())) {
    await Deno.writeTextFile(`${ROOT}${path}`, text);
  }
  return 0;
}

// Some commands load what keeps a process alive.
if (import.meta.main) Deno.exit(await main(Deno.args));
