/** What the doctor asks of a registry: whether it answers, lets us in, and has an index of the image. @module */
import {
  discoverIndex,
  PlatformNotFoundError,
  readFamily,
} from "../../lib/remote/image/mod.ts";
import { RegistryPlace } from "../../lib/remote/content/mod.ts";
import {
  CredentialError,
  type Reference,
  type RegistryClient,
  RegistryError,
} from "../../lib/remote/registry/mod.ts";
import { SociError } from "../../lib/formats/soci/mod.ts";
import type { DaemonStatus } from "../daemon_status.ts";
import { type Finding, ok } from "./finding.ts";

/**
 * Looks at one image as a pull would.
 * @param trust the repositories whose indexes the running daemon takes; null when none runs.
 */
export async function checkImage(
  client: RegistryClient,
  reference: Reference,
  trust: DaemonStatus["trust"] | null,
  signal: AbortSignal,
): Promise<Finding[]> {
  try {
    const source = new RegistryPlace(client, reference);
    const family = await readFamily(source, signal);
    const reached = ok("registry", `${reference.host} gives ${reference}`);
    const [chosen] = await family.choose({}, signal);
    const image = await family.image(chosen!, signal);
    const found = await discoverIndex(
      client,
      reference,
      { digest: image.descriptor.digest, bytes: image.bytes },
      { v1: true, v2: true, signal },
    );
    return [reached, checkIndex(reference, found?.version ?? null, trust)];
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof PlatformNotFoundError) {
      return [{
        check: "registry",
        level: "fail",
        text: error.message,
        fix: "index and pull an image of this machine's platform",
      }];
    }
    if (error instanceof RegistryError) {
      // What to do stands in the message, behind the last semicolon.
      const at = error.message.lastIndexOf("; ");
      return [{
        check: "registry",
        level: "fail",
        text: error.message.slice(0, at),
        fix: error.message.slice(at + 2),
      }];
    }
    if (error instanceof CredentialError) {
      return [{
        check: "registry",
        level: "fail",
        text: error.message,
        fix: "log in again (`docker login`), or give --user",
      }];
    }
    if (error instanceof SociError) {
      return [{
        check: "index",
        level: "fail",
        text: `the index of ${reference} cannot be used: ${error.message}`,
        fix: `make it anew: \`soci-deno build-index --force ${reference}\``,
      }];
    }
    throw error;
  }
}

function checkIndex(
  reference: Reference,
  version: 1 | 2 | null,
  trust: DaemonStatus["trust"] | null,
): Finding {
  if (version === null) {
    return {
      check: "index",
      level: "fail",
      text: `${reference} has no index: it is downloaded whole`,
      fix: `\`soci-deno build-index ${reference}\``,
    };
  }
  const name = `v${version}`;
  const trusted = version === 1 ? trust?.v1 : trust?.v2;
  if (trusted?.length === 0) {
    return {
      check: "index",
      level: "fail",
      text:
        `${reference} has an index (${name}), and the daemon takes none of that kind`,
      fix:
        `put enable = true into [pull_modes.soci_${name}] of the daemon's config.toml and restart it`,
    };
  }
  return ok("index", `${reference} has an index (${name})`);
}
