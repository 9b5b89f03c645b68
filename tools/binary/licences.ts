/** The licences of everything that a bundle holds. @module */
import type { Metafile } from "esbuild";
import { isAbsolute, join } from "node:path";

const FILES = /^(licen[cs]e|copying|notice)([.-].*)?$/i;

/** An npm package that gave at least one file to a bundle. */
export interface Package {
  readonly name: string;
  readonly version: string;
  /** By its SPDX name: `MIT`. */
  readonly licence: string;
  readonly folder: string;
}

/**
 * The packages of a bundle, by name.
 * @param root where the sources lie
 * @throws Error if a package says nothing of its licence.
 */
export async function packagesOf(
  { inputs }: Metafile,
  root: string,
): Promise<readonly Package[]> {
  const folders = new Map<string, string>();
  for (const input of Object.keys(inputs)) {
    const match = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(input);
    if (match === null || input.startsWith("builtin:")) continue;
    const [, folder = "", name = ""] = match;
    folders.set(name, isAbsolute(folder) ? folder : join(root, folder));
  }
  const sorted = [...folders].sort(([a], [b]) => a < b ? -1 : 1);
  return await Promise.all(sorted.map(async ([name, folder]) => {
    const { version, license } = JSON.parse(
      await Deno.readTextFile(`${folder}/package.json`),
    );
    if (typeof license !== "string") {
      throw new Error(`${name} does not say its licence`);
    }
    return { name, version, licence: license, folder };
  }));
}

/** The text of the licences: ours, then those of the packages. @param root where the sources lie */
export async function licencesOf(
  packages: readonly Package[],
  root: string,
): Promise<string> {
  const parts = [
    `soci-deno (Apache-2.0)\n\n${
      (await Deno.readTextFile(join(root, "LICENSE"))).trim()
    }`,
  ];
  for (const one of packages) parts.push(await licenceOf(one));
  return `${parts.join(`\n\n${"=".repeat(78)}\n\n`)}\n`;
}

async function licenceOf(
  { name, version, licence, folder }: Package,
): Promise<string> {
  const files = [...Deno.readDirSync(folder)]
    .map((entry) => entry.name)
    .filter((file) => FILES.test(file)).sort();
  const texts = await Promise.all(
    files.map(async (file) =>
      (await Deno.readTextFile(`${folder}/${file}`)).trim()
    ),
  );
  return [`${name} ${version} (${licence})`, ...texts].join("\n\n");
}
