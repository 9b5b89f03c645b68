import type { Descriptor } from "../../formats/oci/mod.ts";
import type { Context } from "./context.ts";
import { RegistryError } from "./errors.ts";
import { type PushedManifest, putManifest } from "./manifests.ts";
import type { Reference } from "../../formats/reference/mod.ts";
import { listReferrers } from "./referrers.ts";
import {
  addToTag,
  asNoArtifacts,
  referrerItem,
  whereWritten,
} from "./referrers_tag.ts";

type Place = Pick<Reference, "host" | "repository">;

/**
 * Pushes a manifest with a subject, so that every client finds it at every registry. A registry
 * that says it noted the subject is believed only if it lists the manifest too: a proxy in front of
 * it may not support the referrers API.
 */
export async function putReferrer(
  context: Context,
  reference: Place,
  manifest: { readonly bytes: Uint8Array; readonly mediaType: string },
  subject: Descriptor,
  signal?: AbortSignal,
): Promise<PushedManifest> {
  const options = signal === undefined ? {} : { signal };
  const pushed = await putManifest(context, reference, manifest, options)
    .catch((error) => {
      throw asNoArtifacts(error, "it does not take the index");
    });
  const item = referrerItem(manifest, pushed.descriptor);
  const listed = pushed.subjectNoted &&
    await isListed(context, reference, subject, item, signal);
  if (!listed) {
    await addToTag(context, reference, subject.digest, item, signal);
  }
  return pushed;
}

async function isListed(
  context: Context,
  reference: Place,
  { digest }: Descriptor,
  item: Descriptor,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    const listed = await listReferrers(
      whereWritten(context),
      reference,
      digest,
      { artifactType: item.artifactType },
      signal,
    );
    return listed.some((one) => one.digest === item.digest);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof RegistryError) return false; // the fallback tag lists it then
    throw error;
  }
}
