/** What a registry has sent, by kind, out of its access log. @module */
import type { Kind } from "./contents.ts";

/** Payload bytes and requests, by kind. */
export type Traffic = Partial<
  Record<Kind, { bytes: number; requests: number }>
>;

const REQUEST =
  /"GET \/v2\/\S*?\/(?:manifests|blobs|referrers)\/([^\s?]+)\S* HTTP\/[\d.]+" \d{3} (\d+)/g;

/**
 * Sums up what a part of the log says.
 * @param log lines of docker-registry.
 * @param kinds what each digest and tag of the repository is.
 */
export function trafficOf(
  log: string,
  kinds: ReadonlyMap<string, Kind>,
): Traffic {
  const traffic: Traffic = {};
  for (const [, name, bytes] of log.matchAll(REQUEST)) {
    const kind = kinds.get(name!) ?? "other";
    const sum = traffic[kind] ??= { bytes: 0, requests: 0 };
    sum.bytes += Number(bytes);
    sum.requests++;
  }
  return traffic;
}

/** Bytes of all kinds. */
export function totalBytes(traffic: Traffic): number {
  return Object.values(traffic).reduce((sum, { bytes }) => sum + bytes, 0);
}
