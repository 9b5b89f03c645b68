import type { Descriptor } from "../../formats/oci/mod.ts";
import { ContentError } from "./errors.ts";
import type {
  ArtifactSink,
  Cancellable,
  Content,
  ContentId,
  ImageSource,
  LayerSource,
  StreamOptions,
} from "./place.ts";

/** An image whose content may lie at several places: the first place that has it is used. */
export function firstOf(
  image: ImageSource,
  places: readonly LayerSource[],
): ImageSource {
  const place = places.map((one) => one.place).join(" or ");
  const find = async (content: ContentId, options?: Cancellable) => {
    for (const one of places) {
      if (await one.has(content, options)) return one;
    }
    throw new ContentError("not-found", place, content.digest, "not there");
  };
  return {
    place,
    imageName: image.imageName,
    image: (options) => image.image(options),
    async has(content, options) {
      for (const one of places) {
        if (await one.has(content, options)) return true;
      }
      return false;
    },
    bytes: async (content, options) =>
      await (await find(content, options)).bytes(content, options),
    stream: async (content, options?: StreamOptions) =>
      await (await find(content, options)).stream(content, options),
  };
}

/** Puts all content and names at two places. */
export function both(
  first: ArtifactSink,
  second: ArtifactSink,
): ArtifactSink {
  return {
    place: `${first.place} and ${second.place}`,
    async put(
      descriptor: Descriptor,
      content: Content,
      options?: Cancellable,
    ) {
      const one = await first.put(descriptor, content, options);
      const two = await second.put(descriptor, content, options);
      return one === "present" && two === "present" ? "present" : "written";
    },
    async tag(descriptor, name, options) {
      await first.tag(descriptor, name, options);
      await second.tag(descriptor, name, options);
    },
  };
}
