import type { Lane, PendingSpan } from "./pending.ts";
import { FairShares } from "./shares.ts";

/** The most bytes in flight from a slow repository, unless a single span is larger. */
const SLOW_BYTES = 4 * 2 ** 20;
/** The budget for single spans larger than a share: two of the largest spans a ztoc may have. */
const LARGE_SPAN_BYTES = 2 * 64 * 2 ** 20;

/** How much a span takes from each budget. */
interface Held {
  readonly lane: Lane;
  /** Bytes from the host's and the repository's shares. */
  shared: number;
  /** Bytes from the budget for spans larger than a share. */
  large: number;
  /** Bytes from the repository's own budget, while it is slow. */
  slow: number;
}

/**
 * Bounds the compressed bytes that are in flight or wait to be inflated. They are in memory, and
 * for a moment twice. Each host has a fair share of the bound, and each repository a fair share of
 * its host's. Bytes in flight from a slow repository are not in memory yet, so they count against a
 * small budget of that repository alone.
 *
 * A repository with nothing in flight may begin with one span that is larger than its share. The
 * excess comes out of a separate budget for such spans, which is shared fairly too.
 */
export class HeldBytes {
  readonly #maxBytes: number;
  readonly #onFreed: () => void;
  readonly #hosts: FairShares<string>;
  readonly #lanes = new Map<string, FairShares<Lane>>();
  readonly #large = new FairShares<string>(LARGE_SPAN_BYTES);
  readonly #spans = new Map<PendingSpan, Held>();

  /**
   * @param maxBytes the bound of a host that is alone; all hosts together may have 1.5 times as
   * much.
   * @param onFreed called when there is more room.
   */
  constructor(maxBytes: number, onFreed: () => void) {
    this.#maxBytes = maxBytes;
    this.#onFreed = onFreed;
    this.#hosts = new FairShares(maxBytes);
  }

  /** How many more bytes may be requested from a repository. */
  roomOf(lane: Lane): number {
    if (lane.slow) return Math.max(0, SLOW_BYTES - lane.slowBytes);
    const room = Math.min(
      this.#hosts.roomOf(lane.host),
      this.#of(lane.host).roomOf(lane),
    );
    return Math.max(0, room);
  }

  /** How many bytes a host may have beside what the others have now. */
  shareOf(host: string): number {
    return this.#hosts.heldBy(host) + Math.max(0, this.#hosts.roomOf(host));
  }

  /** Whether a span may be requested now. */
  fits({ sizeBytes }: PendingSpan, lane: Lane): boolean {
    const room = this.roomOf(lane);
    if (sizeBytes <= room) return true;
    if (lane.slow) return lane.slowBytes === 0;
    return lane.heldBytes === lane.slowBytes &&
      sizeBytes - room <= this.#large.roomOf(lane.host);
  }

  /** Whether a slow repository has more than its budget. */
  isOver({ slowBytes }: Lane): boolean {
    return slowBytes > SLOW_BYTES;
  }

  /** Counts a span until it is settled or `release` is called. */
  hold(pending: PendingSpan, lane: Lane): void {
    const { sizeBytes } = pending;
    const shared = lane.slow ? 0 : Math.min(sizeBytes, this.roomOf(lane));
    const large = lane.slow ? 0 : sizeBytes - shared;
    const slow = lane.slow ? sizeBytes : 0;
    this.#spans.set(pending, { lane, shared, large, slow });
    lane.heldBytes += sizeBytes;
    lane.slowBytes += slow;
    this.#take(lane, shared, large);
    const release = () => this.release(pending);
    pending.done.then(release, release);
  }

  /** A span is stalled: from now on it counts against its repository's own budget. */
  giveBack(pending: PendingSpan): void {
    const held = this.#spans.get(pending);
    if (held === undefined || held.slow > 0) return;
    const { lane, shared, large } = held;
    this.#give(lane, shared, large);
    held.slow = shared + large;
    held.shared = held.large = 0;
    lane.slowBytes += held.slow;
    this.#onFreed();
  }

  /** A span takes no memory any more. */
  release(pending: PendingSpan): void {
    const held = this.#spans.get(pending);
    if (held === undefined) return;
    this.#spans.delete(pending);
    const { lane, shared, large, slow } = held;
    lane.heldBytes -= shared + large + slow;
    lane.slowBytes -= slow;
    this.#give(lane, shared, large);
    this.#onFreed();
  }

  #of(host: string): FairShares<Lane> {
    return this.#lanes.getOrInsertComputed(
      host,
      () => new FairShares(this.#maxBytes),
    );
  }

  #take(lane: Lane, shared: number, large: number): void {
    if (large > 0) this.#large.take(lane.host, large);
    if (shared === 0) return;
    this.#hosts.take(lane.host, shared);
    this.#of(lane.host).take(lane, shared);
  }

  #give(lane: Lane, shared: number, large: number): void {
    if (large > 0) this.#large.give(lane.host, large);
    if (shared === 0) return;
    this.#hosts.give(lane.host, shared);
    this.#of(lane.host).give(lane, shared);
  }
}
