/**
 * Registries in use, as they differ from the specification. Each is an `intercept` of a test registry.
 * @module
 */
import { failure } from "./http.ts";
import type { Intercept, TestRegistry } from "./server.ts";

const TAG = /\/manifests\/(sha256-[0-9a-f]{64})$/;

/** The first of several that answers. */
export function together(...intercepts: readonly Intercept[]): Intercept {
  return async (path, request) => {
    for (const intercept of intercepts) {
      const answer = await intercept(path, request);
      if (answer !== null) return answer;
    }
    return null;
  };
}

/** HEAD is answered by a status, whatever it is for. */
export function headRefused(status: number): Intercept {
  return (_, { method }) =>
    method === "HEAD" ? new Response(null, { status }) : null;
}

/** The referrers API answers so; a function is called for every question. */
export function referrersAnswered(
  answer: (request: Request) => Response | Promise<Response>,
): Intercept {
  return (path, request) =>
    path.includes("/referrers/") ? answer(request) : null;
}

/** Artifactory: a fallback tag that is not there may not be read. */
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

/** GitLab: a fallback tag that is not there is the image whose digest it is made of. */
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

/** Tags can be written once, also with the bytes they have. */
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

/** Manifests that are no images of a known kind are refused. */
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

/** Manifests come with another content type, or none. */
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
