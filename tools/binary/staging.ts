/** A copy of the product beside its npm packages: what a bundler reads. @module */
import { join } from "node:path";
import { ROOT } from "./starts.ts";

/** A folder with the sources and `node_modules`, removed when disposed of. */
export interface Staging extends Disposable {
  readonly path: string;
}

/** What is copied: the sources, the versions of the packages, and our licence. */
const SOURCES = ["main.ts", "cmd", "lib", "deno.lock", "LICENSE"];

/**
 * Copies the sources, so that they lie beside the packages in the same way on every machine: the bundle's names
 * depend on it. Has Deno lay out the packages in the versions of `deno.lock`, and no others.
 * @throws Error with what Deno said, for example when the registry cannot be reached.
 */
export async function stage(): Promise<Staging> {
  const folder = await Deno.realPath(
    await Deno.makeTempDir({ prefix: "soci-deno-bundle-" }),
  );
  const dispose = () => Deno.removeSync(folder, { recursive: true });
  try {
    const { imports } = JSON.parse(
      await Deno.readTextFile(`${ROOT}deno.json`),
    );
    await Deno.writeTextFile(
      `${folder}/deno.json`,
      JSON.stringify({ imports, nodeModulesDir: "auto" }),
    );
    for (const name of SOURCES) {
      await copy(join(ROOT, name), join(folder, name));
    }
    await installPackages(folder);
  } catch (error) {
    dispose();
    throw error;
  }
  return { path: folder, [Symbol.dispose]: dispose };
}

async function copy(from: string, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) {
    await copy(join(from, name), join(to, name));
  }
}

async function installPackages(folder: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["install", "--quiet"],
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  if (success) return;
  const said = new TextDecoder().decode(stderr).trim();
  throw new Error(`the npm packages cannot be had: ${said}`);
}
