import { FairShares } from "../../layers/spans/mod.ts";

/**
 * Layers of one repository that are open while nobody has asked for them: more than containerd asks for
 * while one is opened, and more than most images have. All repositories together may have half as much
 * again.
 */
const MAX_LAYERS = 64;
/** Bytes of their ztocs, by which memory, files and the time to open them grow. */
const MAX_ZTOC_BYTES = 128 * 2 ** 20;

/**
 * Bounds how many layers are opened ahead of need. An image may have thousands, each of which takes a
 * mount and descriptors; nobody may ever ask for them.
 *
 * @example
 * ```ts
 * import { LayersAhead } from "./layers_ahead.ts";
 * const ahead = new LayersAhead();
 * const rooms = Array.from({ length: 1000 }, () => ahead.enter("host/many", 1));
 * if (rooms.filter((room) => room !== null).length !== 64) throw new Error("there is a bound");
 * rooms[0]?.[Symbol.dispose]();
 * if (ahead.enter("host/many", 1) === null) throw new Error("one has left");
 * ```
 */
export class LayersAhead {
  readonly #layers = new FairShares<string>(MAX_LAYERS);
  readonly #bytes = new FairShares<string>(MAX_ZTOC_BYTES);

  /**
   * A layer is to be opened ahead.
   * @param repository whose layer it is, with its host.
   * @returns null when there are enough; else its place, until it is asked for or closed.
   */
  enter(repository: string, ztocBytes: number): Disposable | null {
    if (this.#layers.roomOf(repository) < 1) return null;
    if (this.#bytes.roomOf(repository) < ztocBytes) return null;
    this.#layers.take(repository, 1);
    this.#bytes.take(repository, ztocBytes);
    let isInside = true;
    return {
      [Symbol.dispose]: () => {
        if (!isInside) return;
        isInside = false;
        this.#layers.give(repository, 1);
        this.#bytes.give(repository, ztocBytes);
      },
    };
  }
}
