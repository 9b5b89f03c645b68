import {
  removeIfThere,
  statIfThere,
  writeWholeSync,
} from "../../host/files/mod.ts";

/** Marker file in a layer's folder: its data file was proven before the layer was first shown. */
const WHOLE_MARK = "whole";

/**
 * Gives a layer's folder a file with all of its tar. From then on the kernel may read that file by itself, also when no
 * daemon runs: no byte of it is ever taken away. Call it while the folder is not open.
 * @param data the file, on the same file system. It is moved.
 * @throws FileError, Deno's errors
 */
export function putWholeData(folder: string, data: string): void {
  // First the marks of another file: whoever kills this process now must not leave them over this one.
  for (const name of ["spans", "checked", "checked-sum"]) {
    removeIfThere(`${folder}/${name}`);
  }
  Deno.renameSync(data, `${folder}/data`);
  writeWholeSync(`${folder}/${WHOLE_MARK}`, "");
}

/** Whether a layer's folder has such a file. */
export function hasWholeData(folder: string): boolean {
  return statIfThere(`${folder}/${WHOLE_MARK}`) !== null;
}
