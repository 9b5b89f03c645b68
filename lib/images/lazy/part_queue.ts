import { FairShares } from "../../layers/spans/mod.ts";
import { ByteRate } from "./byte_rate.ts";
import { logger } from "../../telemetry/mod.ts";
import { byTurn } from "./worker_turns.ts";

const log = logger("images");

/** What a Worker inflates of a layer that none has begun with, compressed bytes a ms. */
const COMMON_RATE = 50_000;

/** No Worker takes more: what it seems to take while it waits for bytes goes into its ring. */
const MOST_RATE = 2 * COMMON_RATE;

/** A line is the slower one if it needs so many times as long: rates are estimates, and both share the cores. */
const SLOWER = 2;

/** So often those that hang are looked for while others need their room, ms. */
const LOOK_MS = 1_000;

/** Requests in flight of many images, each with its one part, have so many times what one may have. */
const MOST_TOGETHER = 3;

/** A request took room of others, and nothing came: its part is to be asked for again. */
class TurnLostError extends Error {
  static {
    this.prototype.name = "TurnLostError";
  }
}

/** Whose a request is. */
export interface Requester {
  /** Names the image and who it speaks for. */
  readonly image: string;
  /** Of the registry. */
  readonly host: string;
}

/** How much there may be at a time. */
export interface QueueLimits {
  /** Requests in all, of an image, of a host. */
  readonly requests: number;
  readonly requestsPerImage: number;
  readonly requestsPerHost: number;
  /** Bytes of an image's requests in flight; of all images half as much again. */
  readonly inFlightBytes: number;
  /** Bytes of an image that have a place in memory; of all images half as much again. */
  readonly placeBytes: number;
  /** Of these, of layers that no Worker reads. */
  readonly aheadBytes: number;
  /** Layers of an image that are inflated at a time. */
  readonly workersPerImage: number;
  /** An image hangs of which nothing came for so long, ms. */
  readonly hangsAfterMs: number;
}

/** A part that a layer wants next. */
export interface WantedPart {
  readonly bytes: number;
  /** Whether it goes into a file in any case: it needs no place. */
  readonly isFiled: boolean;
  /** Whether it is the first one that is missing. */
  readonly isFirst: boolean;
}

/** A layer whose parts are asked for. */
export interface QueuedLayer {
  readonly requester: Requester;
  /** Of the blob. */
  readonly sizeBytes: number;
  /** Whether a Worker reads it. */
  readonly isActive: boolean;
  /** Bytes that nobody has asked for. */
  readonly unaskedBytes: number;
  /** Bytes that are not read. */
  readonly unreadBytes: number;
  /** At which its Worker takes bytes, a ms; 0: unknown. */
  readonly readRate: number;
  /** The part to be asked for now; null: none. */
  next(): WantedPart | null;
  /**
   * Asks for it. Never rejects.
   * @param place where it stays until it is read, the layer's to dispose of; null: it goes into a file.
   * @param lost aborts with a `TurnLostError`: then the layer wants the part as before, and has no place.
   */
  begin(
    part: WantedPart,
    place: Disposable | null,
    lost: AbortSignal,
  ): Promise<void>;
}

/** A layer's place in the queue; it leaves with that. */
export interface Queued extends Disposable {
  /** What it wants is another than before. */
  changed(): void;
  /** So many bytes of it came. */
  came(bytes: number): void;
}

interface Entry {
  readonly layer: QueuedLayer;
  /** Bytes of its places. */
  places: number;
}

interface Image {
  /** In the order in which they get a Worker. */
  readonly entries: Entry[];
  /** Requests in flight, the oldest first. */
  readonly requests: Set<AbortController>;
  /** When a byte came last, or the first request went out, ms. */
  sinceMs: number;
  /** Whether nothing came for long. */
  hangs: boolean;
}

interface Host {
  requests: number;
  readonly rate: ByteRate;
  /** Of the last time that was counted, ms. */
  sinceMs: number;
  bytes: number;
}

interface Chosen {
  readonly image: Image;
  readonly entry: Entry;
  readonly part: WantedPart;
  readonly isHeld: boolean;
}

/** Others have what it needs. */
const SHORT = "short";

/**
 * Which part of which layer is asked for next.
 *
 * Layers that a Worker reads come first, the one with the least ahead of its reader before the others. What they leave
 * is for layers that wait, in the order in which they get a Worker. So on a slow line all of it is for the Workers; on a
 * fast one the next layer's beginning is here when a Worker is free.
 *
 * A part has a place in memory before it is asked for, and keeps it until it is read. Without one it is not asked for,
 * unless the line is the slower one (`#isLineSlower`): then it comes into a file, as a line that rests is lost.
 *
 * Nobody waits for a place for good. Places belong to parts in flight, which come or fail; to parts that came of a layer
 * that a Worker reads, who comes to them as soon as all before them are there; and to parts of layers that wait for a
 * Worker. The first missing part of a layer with a Worker gets a place in any case, one for each Worker: so whoever reads
 * goes on, ends, and another layer has the Worker. Requests are counted only while they are in flight.
 *
 * An image with nothing in flight may have one part beyond its share. Where images lack room all the same, those of which
 * nothing comes lose their requests, but for the oldest one, and come last until a byte has come.
 */
export class PartQueue {
  readonly #limits: QueueLimits;
  readonly #images = new Map<string, Image>();
  readonly #hosts = new Map<string, Host>();
  readonly #inFlight: FairShares<string>;
  readonly #places: FairShares<string>;
  #placeBytes = 0;
  #inFlightBytes = 0;
  #requests = 0;
  #isDue = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Nobody is in it. */
  constructor(limits: QueueLimits) {
    this.#limits = limits;
    this.#inFlight = new FairShares(limits.inFlightBytes);
    this.#places = new FairShares(limits.placeBytes);
  }

  /** Requests in flight. */
  get requests(): number {
    return this.#requests;
  }

  /** Bytes of all images that have a place. */
  get placeBytes(): number {
    return this.#placeBytes;
  }

  /** A layer wants parts. */
  join(layer: QueuedLayer): Queued {
    const { image: name } = layer.requester;
    const image = this.#images.getOrInsertComputed(
      name,
      () => ({ entries: [], requests: new Set(), sinceMs: 0, hangs: false }),
    );
    const entry: Entry = { layer, places: 0 };
    const { entries } = image;
    const at = entries.findIndex((other) => byTurn(layer, other.layer) < 0);
    entries.splice(at < 0 ? entries.length : at, 0, entry);
    this.#soon();
    return {
      changed: () => this.#soon(),
      came: (bytes) => {
        image.sinceMs = performance.now();
        if (image.hangs) this.#soon();
        image.hangs = false;
        const host = this.#hosts.get(layer.requester.host);
        if (host !== undefined) host.bytes += bytes;
      },
      [Symbol.dispose]: () => {
        const at = entries.indexOf(entry);
        if (at >= 0) entries.splice(at, 1);
        this.#forget(name, image);
        this.#soon();
      },
    };
  }

  /** Several changes in a row are one. */
  #soon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      clearTimeout(this.#timer);
      let next = this.#choose();
      for (; next !== null && next !== SHORT; next = this.#choose()) {
        this.#begin(next);
      }
      if (next !== SHORT) return;
      this.#takeFromHanging();
      this.#timer = setTimeout(() => this.#soon(), LOOK_MS);
      Deno.unrefTimer(this.#timer);
    });
  }

  /** Who hangs has one request: whatever it waits for may still come. */
  #takeFromHanging(): void {
    const now = performance.now();
    for (const [name, image] of this.#images) {
      const { requests, sinceMs } = image;
      const isSilent = now - sinceMs >= this.#limits.hangsAfterMs;
      if (requests.size === 0 || !isSilent) continue;
      image.hangs = true;
      const [, ...others] = requests;
      if (others.length === 0) continue;
      log.warn("an image hangs, others have its room", { image: name });
      for (const one of others) one.abort(new TurnLostError("it hangs"));
    }
  }

  /** One of the image with the least in flight; those that hang come last. */
  #choose(): Chosen | typeof SHORT | null {
    const names = [...this.#images].map(([name, { hangs }]) => ({
      name,
      rank: this.#inFlight.heldBy(name) + (hangs ? Infinity : 0),
    })).sort((a, b) => a.rank < b.rank ? -1 : 1);
    let found: typeof SHORT | null = null;
    for (const { name } of names) {
      const image = this.#images.get(name)!;
      const chosen = this.#ofImage(name, image);
      if (chosen !== null && chosen !== SHORT) return chosen;
      if (!image.hangs) found = chosen ?? found;
    }
    return found;
  }

  #ofImage(name: string, image: Image): Chosen | typeof SHORT | null {
    const { requestsPerHost, requestsPerImage } = this.#limits;
    const { size } = image.requests;
    if (size >= requestsPerImage) return null;
    if (image.hangs && size > 0 && this.#images.size > 1) return null;
    const active = image.entries.filter(({ layer }) => layer.isActive)
      .sort((a, b) => aheadOf(a.layer) - aheadOf(b.layer));
    const waiting = image.entries.filter(({ layer }) => !layer.isActive);
    let ahead = this.#limits.aheadBytes;
    for (const { places } of waiting) ahead -= places;
    let found: typeof SHORT | null = null;
    for (const entry of [...active, ...waiting]) {
      const { layer } = entry;
      const part = layer.next();
      if (part === null) continue;
      const host = this.#hosts.get(layer.requester.host);
      const { bytes } = part;
      if (
        (host?.requests ?? 0) >= requestsPerHost ||
        this.#requests >= this.#limits.requests ||
        !this.#hasRoom(name, bytes)
      ) {
        found = this.#isOwn(name, bytes) ? found : SHORT;
        continue;
      }
      if (part.isFiled) return { image, entry, part, isHeld: false };
      const isAwaited = layer.isActive && part.isFirst;
      const hasRoom = bytes <= this.#places.roomOf(name) &&
        (layer.isActive || bytes <= ahead);
      if (isAwaited || hasRoom) return { image, entry, part, isHeld: true };
      if (this.#isLineSlower(image, host)) {
        return { image, entry, part, isHeld: false };
      }
    }
    return found;
  }

  #hasRoom(name: string, bytes: number): boolean {
    if (this.#requests === 0) return true;
    if (bytes <= this.#inFlight.roomOf(name)) return true;
    const all = this.#inFlightBytes + bytes;
    return this.#inFlight.heldBy(name) === 0 &&
      all <= MOST_TOGETHER * this.#limits.inFlightBytes;
  }

  /** Whether an image has itself what it lacks. */
  #isOwn(name: string, bytes: number): boolean {
    const { inFlightBytes } = this.#limits;
    return this.#inFlight.heldBy(name) + bytes > inFlightBytes;
  }

  /**
   * Whether the line needs much longer for what nobody has asked for than Workers do for what they have not read. Else
   * Workers are what the image waits for, and a file in between would only cost them time.
   */
  #isLineSlower({ entries }: Image, host: Host | undefined): boolean {
    const bytesPerMs = host?.rate.bytesPerMs ?? 0;
    if (bytesPerMs === 0) return false;
    let unasked = 0;
    let longestMs = 0;
    let allMs = 0;
    for (const { layer } of entries) {
      unasked += layer.unaskedBytes;
      const rate = layer.isActive
        ? Math.min(layer.readRate || COMMON_RATE, MOST_RATE)
        : COMMON_RATE;
      const ms = layer.unreadBytes / rate;
      allMs += ms;
      if (layer.isActive) longestMs = Math.max(longestMs, ms);
    }
    const workersMs = Math.max(longestMs, allMs / this.#limits.workersPerImage);
    return unasked / bytesPerMs > SLOWER * workersMs;
  }

  async #begin({ image, entry, part, isHeld }: Chosen): Promise<void> {
    const { layer } = entry;
    const { image: name, host: hostName } = layer.requester;
    const host = this.#hosts.getOrInsertComputed(
      hostName,
      () => ({ requests: 0, rate: new ByteRate(), sinceMs: 0, bytes: 0 }),
    );
    if (host.requests++ === 0) host.sinceMs = performance.now();
    this.#requests++;
    if (image.requests.size === 0) image.sinceMs = performance.now();
    const lost = new AbortController();
    image.requests.add(lost);
    this.#inFlight.take(name, part.bytes);
    this.#inFlightBytes += part.bytes;
    const place = isHeld ? this.#place(entry, part.bytes) : null;
    await layer.begin(part, place, lost.signal);
    this.#inFlight.give(name, part.bytes);
    this.#inFlightBytes -= part.bytes;
    image.requests.delete(lost);
    this.#requests--;
    const now = performance.now();
    if (!lost.signal.aborted) {
      image.sinceMs = now;
      image.hangs = false;
    }
    host.rate.add(host.bytes, now - host.sinceMs);
    host.bytes = 0;
    host.sinceMs = now;
    host.requests--;
    this.#forget(name, image);
    this.#soon();
  }

  #place(entry: Entry, bytes: number): Disposable {
    const { image } = entry.layer.requester;
    entry.places += bytes;
    this.#placeBytes += bytes;
    this.#places.take(image, bytes);
    let isTaken = true;
    return {
      [Symbol.dispose]: () => {
        if (!isTaken) return;
        isTaken = false;
        entry.places -= bytes;
        this.#placeBytes -= bytes;
        this.#places.give(image, bytes);
        this.#soon();
      },
    };
  }

  #forget(name: string, image: Image): void {
    if (image.entries.length > 0 || image.requests.size > 0) return;
    if (this.#images.get(name) === image) this.#images.delete(name);
    // How fast hosts were is of no interest to whoever comes later.
    if (this.#images.size === 0 && this.#requests === 0) this.#hosts.clear();
  }
}

/** Bytes that its reader finds, or will find soon. */
function aheadOf({ unreadBytes, unaskedBytes }: QueuedLayer): number {
  return unreadBytes - unaskedBytes;
}
