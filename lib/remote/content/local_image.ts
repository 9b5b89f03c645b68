import type { Descriptor } from "../../formats/oci/mod.ts";
import { ArchiveReader } from "./archive.ts";
import { ContentError } from "./errors.ts";
import { IMAGE_NAME, LayoutFolder, REF_NAME } from "./layout.ts";
import type { ContentId, ImageSource, StreamOptions } from "./place.ts";

/** Which image of a layout is meant. */
export interface LocalImageOptions {
  /** A name of the layout's index; needed when it lists several images. */
  readonly name?: string | undefined;
}

/** An image in an OCI layout, be it a folder or an archive. */
class LocalImage implements ImageSource {
  readonly place: string;
  readonly imageName: string | null;

  constructor(
    private readonly layout: LayoutFolder | ArchiveReader,
    private readonly descriptor: Descriptor,
  ) {
    this.place = layout.place;
    this.imageName = descriptor.annotations?.[IMAGE_NAME] ?? null;
  }

  image(): Promise<Descriptor> {
    return Promise.resolve(this.descriptor);
  }

  has(content: ContentId) {
    return this.layout.has(content);
  }

  bytes(content: ContentId) {
    return this.layout.bytes(content);
  }

  stream(content: ContentId, options?: StreamOptions) {
    return this.layout.stream(content, options);
  }
}

/**
 * An image from a file or folder: an OCI layout, or an archive of one.
 * @throws ContentError when there is none, or it is not clear which is meant
 */
export async function openLocalImage(
  path: string,
  { name }: LocalImageOptions = {},
): Promise<ImageSource> {
  let isDirectory: boolean;
  try {
    ({ isDirectory } = await Deno.stat(path));
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new ContentError("not-found", path, null, "no such file or folder");
  }
  const layout = isDirectory
    ? await LayoutFolder.open(path)
    : await ArchiveReader.open(path);
  const entries = await layout.entries();
  const namesOf = ({ annotations }: Descriptor) =>
    [annotations?.[REF_NAME], annotations?.[IMAGE_NAME]]
      .filter((text) => text !== undefined);
  const found = name === undefined
    ? entries
    : entries.filter((entry) => namesOf(entry).includes(name));
  if (found.length !== 1) {
    const all = entries.flatMap(namesOf);
    const offered = all.length === 0 ? "images without names" : all.join(", ");
    throw new ContentError(
      found.length === 0 ? "not-found" : "unusable",
      path,
      null,
      name === undefined && found.length > 1
        ? `holds ${found.length} images; say which: ${offered}`
        : name === undefined
        ? "holds no image"
        : `holds no single image "${name}", but ${offered}`,
    );
  }
  return new LocalImage(layout, found[0]!);
}
