import { type Answer, discard } from "./body.ts";
import type { Endpoint } from "./endpoint.ts";
import { RegistryError, type RegistryErrorKind } from "./errors.ts";
import { retryAfterMs, Transient } from "./retry.ts";

const KINDS: ReadonlyMap<number, RegistryErrorKind> = new Map([
  [401, "unauthorized"],
  [403, "forbidden"],
  [404, "not-found"],
  [416, "range"],
]);

/** Statuses worth a retry. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Whether a status says that something is not there, not offered, or not for us. */
export function saysNo(status: number): boolean {
  return status === 501 ||
    (status >= 400 && status < 500 && !PASSING.has(status));
}

/**
 * Whether a registry answered a request with an error, or with a question for a login we do not have.
 * It may answer another method in another way.
 */
export function isRefusal(error: unknown): boolean {
  const failure = error instanceof Transient ? error.failure : error;
  return failure instanceof RegistryError &&
    (failure.status !== undefined || failure.kind === "unauthorized");
}

const MAX_ERROR_BYTES = 64 * 1024;

/**
 * Makes the error for an unexpected status, and ends the answer.
 * @param doing what the request was for, for the message: `reading manifest latest`.
 */
export async function statusFailure(
  { host, repository, root }: Endpoint,
  answer: Answer,
  doing: string,
): Promise<RegistryError | Transient> {
  const { status } = answer;
  const passing = PASSING.has(status);
  const wait = retryAfterMs(answer.header("retry-after"));
  const said = await registryWords(answer);
  // Another host that the registry leads to refuses the signed address, not our login.
  const elsewhere = status === 401 && answer.url.origin !== root.origin;
  const failure = new RegistryError({
    kind: elsewhere ? "forbidden" : KINDS.get(status) ??
      (status >= 500 || passing ? "unavailable" : "protocol"),
    host,
    repository,
    status,
    detail: said === "" ? `${doing} failed` : `${doing} failed: ${said}`,
  });
  return passing ? new Transient(failure, wait) : failure;
}

/** The codes and messages of the specification's error document; empty if there is none. */
async function registryWords(answer: Answer): Promise<string> {
  if (!/json/.test(answer.header("content-type") ?? "")) {
    await discard(answer);
    return "";
  }
  await using held = answer;
  try {
    const bytes = await held.bytes(MAX_ERROR_BYTES);
    const value = JSON.parse(new TextDecoder().decode(bytes));
    if (!Array.isArray(value?.errors)) return "";
    return value.errors.slice(0, 3).map((item: unknown) => {
      const { code, message } = Object(item) as Record<string, unknown>;
      return [code, message].filter((word) => typeof word === "string")
        .join(" ");
    }).join(", ").replace(/https?:\/\/\S+/g, "(address)").slice(0, 300);
  } catch {
    return ""; // the status alone must do
  }
}
