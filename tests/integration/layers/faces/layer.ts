/** A layer served by a real kernel whose bytes come as a test wants. @module */
import { mountHelperArguments } from "../../../../cmd/program.ts";
import assert from "node:assert/strict";
import { LayerTree } from "../../../../lib/layers/tree/mod.ts";
import { compileTree } from "../../../../lib/layers/compiler/mod.ts";
import type { Face } from "../../../../lib/layers/faces/mod.ts";
import { LayerFileSystem } from "../../../../lib/layers/fs/mod.ts";
import { PRESENT } from "../../../../lib/layers/presence/mod.ts";
import {
  closeFd,
  O,
  openFd,
  preadFully,
  pwriteFully,
  truncateFd,
} from "../../../../lib/host/os/mod.ts";
import { listMounts } from "../../../../lib/host/mounting/mod.ts";
import { run } from "../../../support/host/mod.ts";
import { incompressible } from "../../../support/images/mod.ts";
import { entry, type EntryFacts } from "../../../unit/layers/tree/support.ts";

export const SLOT = 7;
export const SPAN_BYTES = 256 * 1024;

/** A layer whose bytes are put into place span by span, as a test wants. */
export class Layer implements AsyncDisposable {
  /** Spans that cannot be had now. */
  readonly broken = new Set<number>();
  /** While set, spans wait for it. */
  gate: Promise<void> | null = null;
  asked = 0;
  presence: Uint8Array = new Uint8Array(0);
  uses: Uint8Array = new Uint8Array(0);
  directory = "";
  readonly fallbacks: string[] = [];

  private constructor(
    readonly folder: string,
    readonly data: Uint8Array<ArrayBuffer>,
    readonly system: LayerFileSystem,
    readonly dataFd: number,
  ) {}

  static async serve(
    face: Face,
    entries: readonly EntryFacts[],
    data: Uint8Array<ArrayBuffer>,
    options: { readonly workersPerMount?: number } = {},
  ): Promise<Layer> {
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-face-" });
    await Deno.mkdir(`${folder}/layers/${SLOT}`, { recursive: true });
    const spans = Math.ceil(data.length / SPAN_BYTES);
    const bytes = compileTree({
      entries: entries.map(entry),
      spanStarts: Array.from({ length: spans }, (_, i) => i * SPAN_BYTES),
      dataSize: data.length,
    });
    await Deno.writeFile(`${folder}/layers/${SLOT}/tree`, bytes);
    const dataFd = openFd(`${folder}/layers/${SLOT}/data`, O.RDWR | O.CREAT);
    truncateFd(dataFd, data.length);
    const fallbacks: string[] = [];
    const system = await LayerFileSystem.start({
      layersDirectory: `${folder}/layers`,
      mountDirectory: `${folder}/fs`,
      mountHelper: mountHelperArguments(),
      face,
      onFallback: (_, reason) => fallbacks.push(reason),
      ...options,
    });
    const layer = new Layer(folder, data, system, dataFd);
    const tree = new LayerTree(bytes);
    const { directory, shown, presence, uses } = system.add({
      slot: SLOT,
      spanCount: spans,
      hasXattrs: tree.hasXattrs,
      copy: (offset, into) => preadFully(dataFd, into, offset) === into.length,
      ensure: (offset, length, signal) => layer.#ensure(offset, length, signal),
    }, tree);
    await shown;
    layer.presence = presence;
    layer.uses = uses;
    layer.directory = directory;
    layer.fallbacks.push(...fallbacks);
    return layer;
  }

  async #ensure(
    offset: number,
    length: number,
    signal: AbortSignal,
  ): Promise<void> {
    this.asked++;
    if (this.gate !== null) {
      await Promise.race([
        this.gate,
        new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason))
        ),
      ]);
    }
    const last = Math.floor((offset + length - 1) / SPAN_BYTES);
    for (let span = Math.floor(offset / SPAN_BYTES); span <= last; span++) {
      if (this.broken.has(span)) throw new Error(`span ${span} is broken`);
      const at = span * SPAN_BYTES;
      pwriteFully(this.dataFd, this.data.slice(at, at + SPAN_BYTES), at);
      Atomics.store(this.presence, span, PRESENT);
    }
  }

  /** Forgets all pages and entries the kernel has cached. */
  async dropCaches(): Promise<void> {
    await run("sh", ["-c", "sync; echo 3 > /proc/sys/vm/drop_caches"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.system[Symbol.asyncDispose]();
    closeFd(this.dataFd);
    await Deno.remove(this.folder, { recursive: true });
    assert.deepEqual(
      listMounts().filter(({ mountpoint }) =>
        mountpoint.startsWith(this.folder)
      ),
      [],
    );
  }
}

/** As `assert.deepEqual`, which would take minutes to print a megabyte. */
export function assertSameBytes(found: Uint8Array, wanted: Uint8Array): void {
  const at = found.findIndex((byte, i) => byte !== wanted[i]);
  assert.equal(at, -1, `byte ${at} is ${found[at]} and not ${wanted[at]}`);
  assert.equal(found.length, wanted.length);
}

/** A layer with one file of `size` bytes behind one block, none of them zero. */
export function oneFile(size: number) {
  const data = new Uint8Array(Math.ceil((512 + size) / 512) * 512);
  data.set(incompressible(size), 512);
  for (let i = 0; i < data.length; i++) data[i] ||= 1;
  return { entries: [{ name: "file", offset: 512, size }], data };
}
