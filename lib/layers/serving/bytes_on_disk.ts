import { bytesOnDisk, namesIn, statIfThere } from "../../host/files/mod.ts";
import { layersDirectoryOf } from "./start.ts";

/**
 * Bytes that a layer takes on this disk: its tar as far as it is here, and all that shows it (tree, image, ztoc). Its
 * folder has a handful of files, so this takes as long for a large layer as for a small one.
 * @param root the store's. @throws FileError
 */
export function layerBytesOnDisk(root: string, slot: number): number {
  const folder = `${layersDirectoryOf(root)}/${slot}`;
  return namesIn(folder).reduce((sum, name) => {
    const info = statIfThere(`${folder}/${name}`);
    return sum + (info === null ? 0 : bytesOnDisk(info));
  }, 0);
}
