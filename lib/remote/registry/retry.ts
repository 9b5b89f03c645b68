import type { RegistryError } from "./errors.ts";
import type { RetryOptions } from "./options.ts";

/** Retry options with their defaults filled in. */
export type RetryPolicy = Required<RetryOptions>;

/** Fills in the defaults. */
export function retryPolicy(options: RetryOptions = {}): RetryPolicy {
  return {
    retries: options.retries ?? 8,
    minWaitMs: options.minWaitMs ?? 30,
    maxWaitMs: options.maxWaitMs ?? 30_000,
  };
}

/**
 * The wait before try number `attempt` + 1: exponential backoff. Half of it is random, so that many
 * clients do not retry in step.
 */
function backoffMs(
  attempt: number,
  { minWaitMs, maxWaitMs }: RetryPolicy,
  random: () => number = Math.random,
): number {
  const full = Math.min(maxWaitMs, minWaitMs * 2 ** Math.min(attempt, 30));
  return full / 2 + random() * full / 2;
}

/** Parses `Retry-After`, seconds or a date (RFC 9110 §10.2.3); null if it is unusable. */
export function retryAfterMs(
  header: string | null,
  nowMs: number = Date.now(),
): number | null {
  if (header === null) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}

/** Waits. If the signal aborts, throws its reason at once. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** A failure that may pass. Thrown inside this folder, never to callers. */
export class Transient extends Error {
  override readonly name = "Transient";

  constructor(
    /** What the caller gets when the retries are used up. */
    readonly failure: RegistryError,
    /** The wait the registry asks for. */
    readonly waitMs: number | null = null,
  ) {
    super(failure.message);
  }
}

/** Counts the retries of one operation. */
export class Retrier {
  #failures = 0;

  constructor(
    private readonly policy: RetryPolicy,
    private readonly signal?: AbortSignal,
  ) {}

  /** Resets the count: much was done since the last failure. */
  progressed(): void {
    this.#failures = 0;
  }

  /** Waits until it is time to retry, or throws the error for the caller. */
  async failed(error: unknown): Promise<void> {
    this.signal?.throwIfAborted();
    if (!(error instanceof Transient)) throw error;
    if (this.#failures >= this.policy.retries) throw error.failure;
    const wait = Math.max(
      backoffMs(this.#failures++, this.policy),
      error.waitMs ?? 0,
    );
    await sleep(Math.min(wait, this.policy.maxWaitMs), this.signal);
  }
}

/** Runs an operation and retries it while it throws {@link Transient}. */
export async function retrying<T>(
  policy: RetryPolicy,
  signal: AbortSignal | undefined,
  attempt: (retrier: Retrier) => Promise<T>,
): Promise<T> {
  const retrier = new Retrier(policy, signal);
  while (true) {
    try {
      return await attempt(retrier);
    } catch (error) {
      await retrier.failed(error);
    }
  }
}
