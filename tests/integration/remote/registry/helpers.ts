import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import {
  parseReference,
  type Reference,
  RegistryClient,
  type RegistryClientOptions,
  RegistryError,
  type RegistryErrorKind,
} from "../../../../lib/remote/registry/mod.ts";
import {
  noise,
  type RegistryOptions,
  startRegistry,
  type TestRegistry,
} from "../../../support/registry/mod.ts";

/** A registry with one blob, and a client that is not patient. */
export interface Scene {
  readonly registry: TestRegistry;
  readonly client: RegistryClient;
  readonly reference: Reference;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly blob: ReturnType<TestRegistry["addBlob"]>;
}

/** Patience that tests can wait for. */
export const QUICK = {
  retry: { retries: 3, minWaitMs: 1, maxWaitMs: 2000 },
  timeouts: { headersMs: 300, idleMs: 200 },
} as const;

export const BLOB_BYTES = 300_000;

/** A test with a scene of its own. */
export function scene(
  name: string,
  options: { registry?: RegistryOptions; client?: RegistryClientOptions },
  body: (scene: Scene) => Promise<void>,
): void {
  Deno.test(name, async () => {
    await using registry = startRegistry(options.registry);
    using client = new RegistryClient({ ...QUICK, ...options.client });
    const bytes = noise(BLOB_BYTES);
    const blob = registry.addBlob("team/app", bytes);
    const reference = parseReference(`${registry.host}/team/app:v1`);
    await body({ registry, client, reference, bytes, blob });
  });
}

/** Reads part of the scene's blob and compares it. */
export async function readPart(
  { client, reference, blob, bytes }: Scene,
  start: number,
  end: number,
  signal?: AbortSignal,
): Promise<void> {
  const into = new Uint8Array(end - start);
  await client.range(reference, blob.digest, start, end, into, signal);
  assert.ok(Buffer.compare(into, bytes.subarray(start, end)) === 0);
}

/** Expects a {@link RegistryError} of one kind; gives it back. */
export async function fails(
  kind: RegistryErrorKind,
  promise: Promise<unknown>,
): Promise<RegistryError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof RegistryError, String(error));
    assert.equal(error.kind, kind, error.message);
    assert.ok(!error.message.includes("\n"));
    return error;
  }
  assert.fail(`no ${kind} error`);
}
