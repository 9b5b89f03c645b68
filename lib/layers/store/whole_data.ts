import {
  readTextIfThere,
  removeIfThere,
  statIfThere,
  writeWholeSync,
} from "../../host/files/mod.ts";

/**
 * Marker file in a layer's folder: its data file was proven before the layer was first shown. It says what it was
 * proven to be; of older releases it is empty.
 */
const WHOLE_MARK = "whole";
/** Marker file in its place: the file was given up, and the ztoc that was made of it stays. */
const EMPTIED_MARK = "emptied";

/**
 * Gives a layer's folder a file with all of its tar. From then on the kernel may read that file by itself, also when no
 * daemon runs: no byte of it is ever taken away. Call it while the folder is not open.
 * @param data the file, on the same file system. It is moved.
 * @param proof a word for what it was proven to be: see `provenWhole`.
 * @param folderIs `new`: it was made just now, and has no marks of another file.
 * @throws FileError, Deno's errors
 */
export function putWholeData(
  folder: string,
  data: string,
  proof: string,
  folderIs: "new" | "used",
): void {
  if (folderIs === "used") {
    // First the marks of another file: whoever kills this process now must not leave them over this one.
    forgetData(folder);
    removeIfThere(`${folder}/${EMPTIED_MARK}`);
  }
  Deno.renameSync(data, `${folder}/data`);
  writeWholeSync(`${folder}/${WHOLE_MARK}`, proof);
}

function forgetData(folder: string): void {
  for (const name of ["spans", "checked", "checked-sum"]) {
    removeIfThere(`${folder}/${name}`);
  }
}

/**
 * Takes that file away from a layer that nobody uses: it can be fetched again in parts, by the ztoc. The file is
 * unlinked, so that whoever reads it still reads on.
 * @throws FileError
 */
export function emptyWholeData(folder: string): void {
  writeWholeSync(`${folder}/${EMPTIED_MARK}`, "");
  removeIfThere(`${folder}/${WHOLE_MARK}`);
  forgetData(folder);
  removeIfThere(`${folder}/data`);
}

/** Whether a layer's folder had such a file, and has the ztoc that was made of it. */
export function wasEmptied(folder: string): boolean {
  return statIfThere(`${folder}/${EMPTIED_MARK}`) !== null;
}

/** What such a file was proven to be when it came; null where there is none, empty where that is not said. */
export function provenWhole(folder: string): string | null {
  return readTextIfThere(`${folder}/${WHOLE_MARK}`);
}

/** Whether a layer's folder has such a file. */
export function hasWholeData(folder: string): boolean {
  return statIfThere(`${folder}/${WHOLE_MARK}`) !== null;
}
