import type { Digest } from "../../formats/oci/mod.ts";
import { discard } from "./body.ts";
import { brief, type Context, writing } from "./context.ts";
import { endpointUrl } from "./endpoint.ts";
import { RegistryError } from "./errors.ts";
import type { Reference } from "../../formats/reference/mod.ts";
import { removeFromTag } from "./referrers_tag.ts";

/**
 * Deletes a manifest that has a subject, and takes it off the fallback tag's list where that lists it.
 * @returns false when the repository did not have it.
 * @throws RegistryError; many registries delete nothing.
 */
export async function deleteReferrer(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
  digest: Digest,
  subject: Digest,
  signal?: AbortSignal,
): Promise<boolean> {
  // The list first: one that names what is gone would cost every reader a request.
  await removeFromTag(context, reference, subject, digest, signal);
  try {
    await writing(context, reference, signal, async (endpoint) => {
      const answer = await context.transport.exchange(endpoint, {
        method: "DELETE",
        url: endpointUrl(endpoint, `manifests/${digest}`),
        scopes: [`repository:${endpoint.repository}:pull,push,delete`],
        accept: [200, 202, 204],
        doing: `deleting manifest ${brief(digest)}`,
        signal,
      });
      await discard(answer);
    });
    return true;
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    if (error.kind === "not-found") return false;
    if (error.status !== 405) throw error;
    throw new RegistryError({
      kind: "no-deletes",
      host: error.host,
      repository: error.repository,
      status: error.status,
      detail: "this registry deletes no manifests, or is configured not to",
      cause: error,
    });
  }
}
