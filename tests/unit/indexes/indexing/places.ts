/** Places and options for the tests of indexing: OCI layouts in temporary folders. @module */
import {
  LayoutFolder,
  openLocalImage,
} from "../../../../lib/remote/content/mod.ts";
import {
  type BuildOptions,
  buildZtocs,
  type BuiltImage,
} from "../../../../lib/indexes/indexing/mod.ts";
import { readFamily } from "../../../../lib/remote/image/mod.ts";
import {
  type Image,
  type ImageSet,
  writeLayout,
} from "../../../support/images/mod.ts";

/** An image in a layout, and an empty layout. */
export async function openPlaces(image: Image | ImageSet) {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-indexing-" });
  await writeLayout(`${folder}/from`, image);
  return {
    folder,
    source: await openLocalImage(`${folder}/from`),
    sink: await LayoutFolder.create(`${folder}/to`),
    async [Symbol.asyncDispose]() {
      await Deno.remove(folder, { recursive: true });
    },
  };
}

export type Places = Awaited<ReturnType<typeof openPlaces>>;

/** Indexes every layer, with 1 MiB spans. */
export async function build(
  { source, sink }: Pick<Places, "source" | "sink">,
  options: Partial<BuildOptions> = {},
): Promise<BuiltImage[]> {
  const family = await readFamily(source);
  const built: BuiltImage[] = [];
  for (const descriptor of family.images) {
    built.push(
      await buildZtocs(await family.image(descriptor), {
        source,
        sink,
        spanSizeBytes: 2 ** 20,
        minLayerSizeBytes: 0,
        ledgers: [],
        force: false,
        optimizeXattrs: false,
        prefetchFiles: [],
        concurrency: 2,
        signal: new AbortController().signal,
        ...options,
      }),
    );
  }
  return built;
}
