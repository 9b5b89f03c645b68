import { OpeningError } from "../opening/mod.ts";
import type { LayerFolder } from "../store/mod.ts";
import type { LateZtocPlace } from "./late_ztoc.ts";
import type { Machinery } from "./machinery.ts";
import type { WantedLayer } from "./wanted.ts";
import { ZtocRoomError } from "./ztoc_room.ts";

/** Of the bytes of a ztoc, what it and the file of headers that is made of it take at most, about. */
const FILES_OF_ZTOC = 3;

/** A layer that was opened by a head. */
export interface OpenedByHead {
  readonly folder: LayerFolder;
  readonly machinery: Machinery;
  /** Aborted once the layer closes. */
  readonly closing: AbortSignal;
  /** Who wants the layer. */
  readonly share: string;
}

/** Where the rest of a ztoc is put: on a disk that has room for it, free or set aside. */
export function placeOfRest(
  { identity: { layerDigest }, ztoc }: WantedLayer,
  { reserve }: Pick<Machinery, "reserve">,
): LateZtocPlace {
  // Now: its bytes are the layer's soon.
  const bytes = ztoc.kind === "head" ? FILES_OF_ZTOC * ztoc.bytes.length : 0;
  return {
    layerDigest,
    look: () => {
      const missing = reserve.missing(bytes);
      if (missing === 0) return;
      throw new ZtocRoomError(
        `it takes ${bytes} bytes, ${missing} more than there are; free disk space below --root`,
      );
    },
  };
}

/**
 * Gives the folder of a layer its ztoc, and what is made of it. Takes the buffer over.
 * @throws ZtocError when it is of no use; OpeningError, OsError, FileError; why the layer closes
 */
export async function putRest(
  bytes: Uint8Array<ArrayBuffer>,
  { folder, machinery, closing, share }: OpenedByHead,
): Promise<void> {
  const { files, opener, headers, saver, reserve } = machinery;
  const assertOurs = () => {
    // A successor writes the folder's files, and may be writing these.
    if (files.detached) throw new OpeningError("a successor opens layers");
    closing.throwIfAborted();
  };
  assertOurs();
  // Readers wait for it, and nothing of the layer can be fetched before: also where the disk is full.
  reserve.prepare(FILES_OF_ZTOC * bytes.length);
  try {
    const order = { path: folder.path, bytes, headers };
    const whole = await opener.rest(order, share);
    assertOurs();
    folder.putZtoc(whole.bytes, whole.rest, saver);
  } finally {
    folder.settled().then(() => reserve.takeBack());
  }
}
