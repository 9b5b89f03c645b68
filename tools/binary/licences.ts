/** The licences of everything that a bundle holds. @module */
import type { Metafile } from "esbuild";
import { isAbsolute, join } from "node:path";

const FILES = /^(licen[cs]e|copying|notice)([.-].*)?$/i;

/**
 * The text of the licences: ours, then those of each npm package that gave at least one file, sorted.
 * @throws Error if a package says nothing of its licence.
 */
export async function licencesOf(
  { inputs }: Metafile,
  root: string,
): Promise<string> {
  const folders = new Map<string, string>();
  for (const input of Object.keys(inputs)) {
    const match = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(input);
    if (match === null || input.startsWith("builtin:")) continue;
    const [, folder = "", name = ""] = match;
    folders.set(name, isAbsolute(folder) ? folder : join(root, folder));
  }
  const parts = [
    `soci-deno (Apache-2.0)\n\n${
      (await Deno.readTextFile(join(root, "LICENSE"))).trim()
    }`,
  ];
  for (
    const [name, folder] of [...folders].sort(([a], [b]) => a < b ? -1 : 1)
  ) {
    parts.push(await licenceOf(name, folder));
  }
  return `${parts.join(`\n\n${"=".repeat(78)}\n\n`)}\n`;
}

async function licenceOf(name: string, folder: string): Promise<string> {
  const { version, license } = JSON.parse(
    await Deno.readTextFile(`${folder}/package.json`),
  );
  if (typeof license !== "string") {
    throw new Error(`${name} does not say its licence`);
  }
  const files = [...Deno.readDirSync(folder)]
    .map((entry) => entry.name)
    .filter((file) => FILES.test(file)).sort();
  const texts = await Promise.all(
    files.map(async (file) =>
      (await Deno.readTextFile(`${folder}/${file}`)).trim()
    ),
  );
  return [`${name} ${version} (${license})`, ...texts].join("\n\n");
}
