/** A registry in a thread of its own, which counts parts of blobs that it is asked for. @module */
/// <reference lib="deno.worker" />
import { startRegistry } from "../../support/registry/mod.ts";
import type { OwnRegistryReady } from "./own_registry.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;

scope.onmessage = ({ data }: MessageEvent<Int32Array>) => {
  const registry = startRegistry();
  registry.intercept = (path, request) => {
    const isPart = request.method === "GET" && path.includes("/blobs/") &&
      request.headers.has("range");
    if (isPart) Atomics.add(data, 0, 1);
    registry.requests.length = 0; // nobody reads this log
    return null;
  };
  const { host, url } = registry;
  scope.postMessage({ host, url } satisfies OwnRegistryReady);
};
