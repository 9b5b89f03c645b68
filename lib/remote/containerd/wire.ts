import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Descriptor, parseDigest } from "../../formats/oci/mod.ts";
import type {
  Descriptor as WireDescriptor,
  DescriptorSchema,
  Mount as WireMount,
} from "./gen/containerd/types/types_pb.ts";

/** A mount that containerd performs. */
export interface Mount {
  /** `bind`, `overlay`, … */
  readonly type: string;
  /** What is mounted: a path, or a name that means nothing to the kernel, as `overlay`. */
  readonly source: string;
  /** As mount(8) takes them: `ro`, `lowerdir=…`. */
  readonly options: readonly string[];
}

/** A descriptor as containerd's services carry it: platform, URLs and data do not travel. */
export function toWireDescriptor(
  { mediaType, digest, size, annotations }: Descriptor,
): MessageInitShape<typeof DescriptorSchema> {
  return {
    mediaType,
    digest,
    size: BigInt(size),
    annotations: { ...annotations },
  };
}

/** Checks and takes over a descriptor that containerd sent. */
export function fromWireDescriptor(wire: WireDescriptor): Descriptor {
  return {
    mediaType: wire.mediaType,
    digest: parseDigest(wire.digest),
    size: Number(wire.size),
    ...(Object.keys(wire.annotations).length > 0 &&
      { annotations: wire.annotations }),
  };
}

/** A mount that containerd sent. */
export function fromWireMount(wire: WireMount): Mount {
  return { type: wire.type, source: wire.source, options: wire.options };
}
