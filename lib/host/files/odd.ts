import { tellStateDamage } from "../../telemetry/mod.ts";
import { FileError } from "./errors.ts";
import { removeFolder } from "./there.ts";

/**
 * Puts aside what has the name of a state file and is none: a folder, a pipe, a device, or a link, which could
 * lead to any of these, to nothing, or to another state file. It is kept as `<path>.damaged` and told; the
 * state counts as lost. A pipe that is opened to read would stop this process for good.
 */
export function putOddAside(path: string): void {
  try {
    if (Deno.lstatSync(path).isFile) return;
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory
    ) return;
    throw new FileError("read", path, error);
  }
  const aside = `${path}.damaged`;
  try {
    removeFolder(aside);
    Deno.renameSync(path, aside);
  } catch (cause) {
    throw new FileError("rename", path, cause);
  }
  tellStateDamage({
    path,
    found: "it is no file",
    then: `it is kept as ${aside}, and counts as lost`,
  });
}

/** {@linkcode putOddAside} for all that is in a folder of files alone; a missing one has nothing. @throws FileError */
export function putOddOfFolderAside(folder: string): void {
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(folder)];
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory
    ) return;
    throw new FileError("read", folder, error);
  }
  for (const { name, isFile } of entries) {
    if (!isFile && !name.endsWith(".damaged")) putOddAside(`${folder}/${name}`);
  }
}
