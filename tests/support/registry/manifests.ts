import {
  type Digest,
  isDigest,
  MEDIA,
  sha256,
} from "../../../lib/formats/oci/mod.ts";
import { failure } from "./http.ts";
import type { Store, StoredManifest } from "./store.ts";

/** …/manifests/<tag or digest>. */
export async function serveManifest(
  store: Store,
  repository: string,
  object: string,
  request: Request,
  options: { readonly referrersApi: boolean },
): Promise<Response> {
  if (request.method === "PUT") {
    const mediaType = request.headers.get("content-type") ?? "";
    const bytes = await request.bytes();
    return putManifest(store, repository, object, bytes, mediaType, options);
  }
  const found = store.manifest(repository, object);
  if (found === undefined) return failure(404, "MANIFEST_UNKNOWN");
  const { bytes, mediaType, digest } = found;
  switch (request.method) {
    case "GET":
    case "HEAD":
      return new Response(request.method === "HEAD" ? null : bytes, {
        headers: {
          "content-type": mediaType,
          "content-length": String(bytes.length),
          "docker-content-digest": digest,
        },
      });
    case "DELETE": {
      const { manifests, tags } = store.repository(repository);
      if (isDigest(object)) {
        manifests.delete(digest);
        for (const [tag, of] of tags) if (of === digest) tags.delete(tag);
      } else tags.delete(object);
      return new Response(null, { status: 202 });
    }
    default:
      return failure(405, "UNSUPPORTED");
  }
}

function putManifest(
  store: Store,
  repository: string,
  object: string,
  bytes: Uint8Array,
  mediaType: string,
  { referrersApi }: { readonly referrersApi: boolean },
): Response {
  let subject: { digest?: string } | undefined;
  try {
    subject = JSON.parse(new TextDecoder().decode(bytes)).subject;
  } catch {
    return failure(400, "MANIFEST_INVALID");
  }
  if (isDigest(object) && object !== sha256(bytes)) {
    return failure(400, "DIGEST_INVALID");
  }
  const tag = isDigest(object) ? undefined : object;
  const { digest } = store.addManifest(repository, bytes, mediaType, tag);
  return new Response(null, {
    status: 201,
    headers: {
      location: `/v2/${repository}/manifests/${digest}`,
      "docker-content-digest": digest,
      ...(referrersApi && subject?.digest !== undefined &&
        { "oci-subject": subject.digest }),
    },
  });
}

/** …/referrers/<digest>, in pages of `pageSize`. */
export function serveReferrers(
  store: Store,
  repository: string,
  digest: Digest,
  request: Request,
  { pageSize }: { readonly pageSize: number },
): Response {
  const url = new URL(request.url);
  const artifactType = url.searchParams.get("artifactType");
  const from = Number(url.searchParams.get("from") ?? 0);
  const manifests = store.repositories.get(repository)?.manifests.values() ??
    [];
  const all = [...manifests].map(referrer).filter((item) =>
    item.subject === digest &&
    (artifactType === null || item.descriptor.artifactType === artifactType)
  ).map(({ descriptor }) => descriptor);
  const headers = new Headers({ "content-type": MEDIA.ociIndex });
  if (artifactType !== null) {
    headers.set("oci-filters-applied", "artifactType");
  }
  if (from + pageSize < all.length) {
    url.searchParams.set("from", String(from + pageSize));
    headers.set("link", `<${url.pathname}${url.search}>; rel="next"`);
  }
  const body = {
    schemaVersion: 2,
    mediaType: MEDIA.ociIndex,
    manifests: all.slice(from, from + pageSize),
  };
  return new Response(JSON.stringify(body), { headers });
}

function referrer({ bytes, mediaType, digest }: StoredManifest) {
  const value = JSON.parse(new TextDecoder().decode(bytes));
  return {
    subject: value.subject?.digest as string | undefined,
    descriptor: {
      mediaType,
      digest,
      size: bytes.length,
      artifactType: value.artifactType ?? value.config?.mediaType,
      annotations: value.annotations,
    },
  };
}

/** …/tags/list. */
export function serveTags(
  store: Store,
  repository: string,
  request: Request,
): Response {
  const found = store.repositories.get(repository);
  if (found === undefined) return failure(404, "NAME_UNKNOWN");
  const url = new URL(request.url);
  const last = url.searchParams.get("last") ?? "";
  const count = Number(url.searchParams.get("n") ?? 1000);
  const later = [...found.tags.keys()].sort().filter((tag) => tag > last);
  const tags = later.slice(0, count);
  const headers = new Headers();
  if (tags.length < later.length && tags.length > 0) {
    const next = `/v2/${repository}/tags/list?n=${count}&last=${tags.at(-1)}`;
    headers.set("link", `<${next}>; rel="next"`);
  }
  return Response.json({ name: repository, tags }, { headers });
}
