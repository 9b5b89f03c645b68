import {
  decodeRecording,
  encodeRecording,
  type LoadOrder,
  MAX_RECORDING_BYTES,
  OrderError,
  PLAN_LIMITS,
  type Recording,
} from "../../formats/order/mod.ts";
import { writeWholeSync } from "../../host/files/mod.ts";
import { parseReference, type Repository } from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { rangesOf } from "./ranges.ts";

const log = logger("order");

/** Recordings of one image and workload that are kept, and of all. */
const KEPT_EACH = 8;
const KEPT = 256;
const END = ".recording.json";
const NAMED = /-(\d+)\.recording\.json$/;

/** The starts that a daemon recorded, a file each: image, workload and time are its name. */
export class RecordingsFolder {
  /** Makes nothing yet. @param folder made when it is needed. */
  constructor(readonly folder: string) {}

  /** Keeps a recording; the oldest make room. @returns its path. @throws Deno's errors */
  keep(recording: Recording, startMs: number): string {
    Deno.mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    const { image, workload } = recording;
    const name = `${fileName(image)}-${workload}`;
    this.#tidy(name);
    const path = `${this.folder}/${name}-${Math.round(startMs)}${END}`;
    writeWholeSync(path, encodeRecording(recording));
    return path;
  }

  /** Makes room for one more. */
  #tidy(name: string): void {
    const all = [...Deno.readDirSync(this.folder)].map((entry) => entry.name)
      .filter((file) => file.endsWith(END))
      .sort((a, b) => timeOf(a) - timeOf(b));
    const same = all.filter((file) => file.replace(NAMED, "") === name);
    const gone = new Set([
      ...same.slice(0, Math.max(0, same.length - KEPT_EACH + 1)),
      ...all.slice(0, Math.max(0, all.length - KEPT + 1)),
    ]);
    for (const file of gone) Deno.removeSync(`${this.folder}/${file}`);
  }

  /**
   * Recordings of a repository and workload, whatever the tag, the newest first. Files that are none, or are
   * gone by now, are passed over.
   * @param most how many are wanted.
   * @throws Deno's errors
   */
  async of(
    { host, repository }: Repository,
    workload: string,
    most = Infinity,
  ): Promise<Recording[]> {
    const last = fileName(repository.slice(repository.lastIndexOf("/") + 1));
    const names = (await Array.fromAsync(Deno.readDir(this.folder)).catch(
      (error) => {
        if (error instanceof Deno.errors.NotFound) return [];
        throw error;
      },
    )).map(({ name }) => name).filter((name) =>
      name.replace(NAMED, "").endsWith(`-${workload}`) && name.includes(last)
    ).sort((a, b) => timeOf(b) - timeOf(a));
    const found: Recording[] = [];
    for (const name of names) {
      if (found.length >= most) break;
      const one = await this.#read(name);
      if (one === null || one.workload !== workload) continue;
      const of = parseReference(one.image);
      if (of.host === host && of.repository === repository) found.push(one);
    }
    return found;
  }

  async #read(name: string): Promise<Recording | null> {
    const path = `${this.folder}/${name}`;
    try {
      const { size } = await Deno.stat(path);
      if (size > MAX_RECORDING_BYTES) return null;
      return decodeRecording(await Deno.readFile(path));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      if (!(error instanceof OrderError)) throw error;
      log.warn("a recording cannot be read", { path, error: error.message });
      return null;
    }
  }

  /**
   * The order in which the last recorded start of a repository and workload read its layers, without a pack;
   * null where none was recorded, or it cannot be read. Layers are known by digest: another tag has some of
   * them.
   */
  async order(
    repository: Repository,
    workload: string,
  ): Promise<LoadOrder | null> {
    try {
      const [newest] = await this.of(repository, workload, 1);
      return newest === undefined ? null : orderOf(newest);
    } catch (error) {
      log.warn("recorded starts cannot be read", {
        folder: this.folder,
        error: String(error),
      });
      return null;
    }
  }
}

function orderOf({ layers, touches }: Recording): LoadOrder {
  const ranges = rangesOf({ layers, touches }, {
    files: layers.map(() => null),
    readAheadBytes: 0,
    maxRangeBytes: PLAN_LIMITS.frameBytes,
    maxBytes: PLAN_LIMITS.totalBytes,
  });
  const some = ranges.slice(0, PLAN_LIMITS.ranges);
  return { layers, ranges: some, packs: [], frames: [] };
}

function timeOf(file: string): number {
  return Number(NAMED.exec(file)?.[1] ?? 0);
}

/** An image's name as part of a file's. */
function fileName(image: string): string {
  return image.replace(/[^A-Za-z0-9._-]+/g, "_").slice(-100);
}
