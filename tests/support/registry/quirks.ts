/**
 * How real registries differ from the specification. Each quirk is an `intercept` of a test
 * registry.
 * @module
 */
import { failure } from "./http.ts";
import type { Intercept, TestRegistry } from "./server.ts";

const TAG = /\/manifests\/(sha256-[0-9a-f]{64})$/;

/** Combines several: the first that answers wins. */
export function together(...intercepts: readonly Intercept[]): Intercept {
  return async (path, request) => {
    for (const intercept of intercepts) {
      const answer = await intercept(path, request);
      if (answer !== null) return answer;
    }
    return null;
  };
}

/** Every HEAD is answered with a status. */
export function headRefused(status: number): Intercept {
  return (_, { method }) =>
    method === "HEAD" ? new Response(null, { status }) : null;
}

/** The referrers API answers like this; the function is called for every request. */
export function referrersAnswered(
  answer: (request: Request) => Response | Promise<Response>,
): Intercept {
  return (path, request) =>
    path.includes("/referrers/") ? answer(request) : null;
}

/** Artifactory: reading a missing fallback tag is forbidden. */
export function missingTagForbidden(
  registry: TestRegistry,
  status = 403,
): Intercept {
  return (path, { method }) => {
    const [, repository = ""] = /^\/v2\/(.+)\/manifests\//.exec(path) ?? [];
    const tag = TAG.exec(path)?.[1];
    if (tag === undefined || method === "PUT") return null;
    const there = registry.store.manifest(repository, tag) !== undefined;
    return there ? null : failure(status, "DENIED");
  };
}

/** GitLab: a missing fallback tag gives the image with the digest in the tag. */
export function missingTagIsSubject(registry: TestRegistry): Intercept {
  return (path, { method }) => {
    const [, repository = ""] = /^\/v2\/(.+)\/manifests\//.exec(path) ?? [];
    const tag = TAG.exec(path)?.[1];
    if (tag === undefined || method === "PUT") return null;
    const { store } = registry;
    if (store.manifest(repository, tag) !== undefined) return null;
    const image = store.manifest(repository, tag.replace("-", ":"));
    return image === undefined ? null : new Response(image.bytes, {
      headers: {
        "content-type": image.mediaType,
        "docker-content-digest": image.digest,
      },
    });
  };
}

/** Tags can be written only once, even with the same bytes. */
export function immutableTags(
  registry: TestRegistry,
  status: number,
): Intercept {
  return (path, { method }) => {
    const [, repository = "", name = ""] =
      /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(path) ?? [];
    if (method !== "PUT" || name === "") return null;
    return registry.store.manifest(repository, name) === undefined
      ? null
      : failure(status, "TAG_IMMUTABLE");
  };
}

/** Manifests other than images of a known kind are refused. */
export function artifactsRefused(status: number): Intercept {
  return async (path, request) => {
    if (request.method !== "PUT" || !path.includes("/manifests/")) return null;
    const { config } = await request.clone().json();
    const mediaType: string = config?.mediaType ?? "";
    return mediaType.includes("image.config") ||
        mediaType.includes("container.image")
      ? null
      : failure(status, "MANIFEST_INVALID");
  };
}

/** Manifests are served with another content type, or none. */
export function manifestsAs(
  registry: TestRegistry,
  contentType: string | null,
): Intercept {
  return (path, { method }) => {
    const [, repository = "", name = ""] =
      /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(path) ?? [];
    if (method !== "GET" && method !== "HEAD") return null;
    const found = registry.store.manifest(repository, name);
    if (found === undefined) return null;
    const answer = new Response(method === "HEAD" ? null : found.bytes, {
      headers: { "docker-content-digest": found.digest },
    });
    if (contentType !== null) answer.headers.set("content-type", contentType);
    return answer;
  };
}
