import { logger } from "../../telemetry/mod.ts";
import type { SpanError } from "../spans/mod.ts";
import type {
  LayerFolder,
  LayerIdentity,
  SlotTableStore,
} from "../store/mod.ts";
import type { FalseHeadError } from "./late_ztoc.ts";
import type { LayerPack } from "./layer_pack.ts";

const log = logger("images");

/** What is said of a layer that lies. */
interface Lying {
  readonly slot: number;
  readonly layerDigest: string;
  readonly identity: LayerIdentity;
  readonly pack: Pick<LayerPack, "digest" | "condemn">;
}

/** Whether it is not the ztoc that lies, but the state on this disk that is damaged. */
export function isDamage(
  { slot, layerDigest: layer }: Lying,
  folder: Pick<LayerFolder, "areHeadersWhole">,
  { kind }: SpanError,
): boolean {
  if (kind !== "header" || folder.areHeadersWhole) return false;
  log.error(
    "a layer's file of headers is damaged, the next start makes it again",
    { layer, slot },
  );
  return true;
}

/** Condemns a layer's ztoc, so that it is not used again. Readers already got the error. */
export function condemnZtoc(
  { layerDigest: layer, identity }: Lying,
  { diffId }: Pick<LayerFolder, "diffId">,
  error: SpanError,
  slots: SlotTableStore,
): void {
  // Wrong headers are the ztoc's lie to everybody. A wrong whole may be the lie of one image's diff ID.
  slots.condemn(
    identity,
    error.message,
    error.kind === "layer" && diffId !== null ? diffId : "",
  );
  slots.sync().catch((error) =>
    log.warn("that a ztoc lies may be forgotten", { error: String(error) })
  );
  log.error("ztoc lies about its layer and is not used again", {
    layer,
    ztoc: identity.ztocDigest,
    kind: error.kind,
    span: error.span,
    error: error.message,
  });
}

/**
 * Condemns what a layer was opened by ahead of its ztoc: with the pack, so that no layer of that image is
 * opened so again. The ztoc itself is as good as before. Readers got the error.
 */
export function condemnHead(
  { slot, layerDigest, identity, pack }: Lying,
  { message }: FalseHeadError,
): void {
  log.error(
    "a layer was mounted ahead by what is not the head of its ztoc: it gives nothing more; remove the image and pull it again",
    {
      slot,
      layer: layerDigest,
      ztoc: identity.ztocDigest,
      pack: pack.digest,
      error: message,
    },
  );
  pack.condemn(message);
}
