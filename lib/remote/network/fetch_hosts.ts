import {
  parseReference,
  registryAddress,
} from "../../formats/reference/mod.ts";

/** What a command line says about the hosts that are asked. Can be sent to a Worker. */
export interface NamedHosts {
  /** References of images, as they are typed. What is none names no host. */
  readonly images: readonly string[];
  /** Addresses or hosts of mirrors. */
  readonly places: readonly string[];
}

/** The hosts, with their ports where they have one. */
export function hostsOf({ images, places }: NamedHosts): string[] {
  return [
    ...images.flatMap((image) => {
      try {
        return [registryAddress(parseReference(image).host)];
      } catch {
        return []; // the command tells
      }
    }),
    ...places.map((place) =>
      place.replace(/^https?:\/\//, "").replace(/\/.*$/s, "")
    ).filter((host) => host !== ""),
  ];
}
