import {
  checkedLine,
  readTextIfThere,
  statIfThere,
  textOfLine,
  writeWhole,
  writeWholeSync,
} from "../../host/files/mod.ts";
import { bootId } from "../../host/os/mod.ts";
import { logger, tellStateDamage } from "../../telemetry/mod.ts";
import { mountsBelow } from "./disk.ts";
import type { OwnDirectories } from "./provider.ts";
import type { Owner, SnapshotKind } from "./types.ts";

const log = logger("snapshotter");
/** In a folder whose snapshot's row was lost: the machine's run in which containers may use it. */
const KEPT = "kept";

/**
 * The snapshots' folders: `<root>/<id>/{fs,work}`.
 *
 * A folder is made under a temporary name (`new-…`) and renamed to its number when its snapshot is
 * stored. It is renamed again (`rm-…`) before its files are deleted. So a numbered folder is always
 * complete, and a folder without a number is a leftover that may be deleted.
 */
export class SnapshotFolders {
  readonly #root: string;
  readonly #staged = new Set<string>();
  readonly #deletions = new Map<string, Promise<void>>();

  /** @param root created, accessible to root only, if it is missing. */
  constructor(root: string) {
    Deno.mkdirSync(root, { recursive: true, mode: 0o700 });
    this.#root = root;
  }

  /** The folder of a snapshot's own files. */
  fs(id: number): string {
    return `${this.#root}/${id}/fs`;
  }

  /**
   * The record of a lazy snapshot's chain directories, from its folder; null if it has none.
   * @throws FileError; Error when it is lost or damaged, which is told
   */
  record(id: number): string | null {
    if (!this.has(id)) return null;
    const path = `${this.#root}/${id}/directories`;
    const line = readTextIfThere(path);
    const text = line === null ? null : textOfLine(line) ?? unchecked(line);
    if (text !== null) return text;
    tellStateDamage({
      path,
      found: line === null ? "it is missing" : "its checksum is another one",
      then:
        "layers on top of this one are left to containerd, which unpacks them",
    });
    throw new Error(`the record of directories in ${path} is damaged`);
  }

  /** Whether a snapshot has a folder of its own. @throws FileError */
  has(id: number): boolean {
    return statIfThere(`${this.#root}/${id}`) !== null;
  }

  /** The work directory of overlayfs for a snapshot. */
  work(id: number): string {
    return `${this.#root}/${id}/work`;
  }

  /** Whether a path is below these folders. */
  holds(path: string): boolean {
    return path.startsWith(`${this.#root}/`);
  }

  /** Makes an empty folder without a number. */
  stage(kind: SnapshotKind, owner: Owner | null): string {
    const name = `new-${crypto.randomUUID()}`;
    const path = `${this.#root}/${name}`;
    this.#staged.add(name);
    Deno.mkdirSync(path, { mode: 0o700 });
    makeDirectory(`${path}/fs`, 0o755);
    if (owner !== null) Deno.chownSync(`${path}/fs`, owner.uid, owner.gid);
    if (kind === "active") makeDirectory(`${path}/work`, 0o711);
    return name;
  }

  /**
   * Makes a folder without a number that holds a chain's own directories. @throws what `own` throws
   */
  async stageOwn(own: OwnDirectories): Promise<string> {
    const staged = this.stage("view", null);
    const path = `${this.#root}/${staged}`;
    try {
      await own.write(`${path}/fs`);
      await writeWhole(`${path}/directories`, checkedLine(own.record), {
        sync: "data",
      });
      return staged;
    } catch (error) {
      this.unstage(staged);
      throw error;
    }
  }

  /** Renames a staged folder to its number; also when its transaction is tried again. */
  adopt(staged: string, id: number): void {
    if (!this.#staged.has(staged)) return;
    this.retire(id); // if a transaction failed, its number is used again
    Deno.renameSync(`${this.#root}/${staged}`, `${this.#root}/${id}`);
    this.#staged.delete(staged);
  }

  /** Deletes a staged folder that got no number. */
  unstage(staged: string): void {
    if (!this.#staged.delete(staged)) return;
    this.#delete(staged);
  }

  /** Renames a folder away from its number at once and deletes its files in the background. */
  retire(id: number): void {
    const retired = `rm-${id}-${crypto.randomUUID()}`;
    try {
      Deno.renameSync(`${this.#root}/${id}`, `${this.#root}/${retired}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return; // lazy snapshots have none
      log.warn(
        "cannot retire a snapshot's folder, the next clean-up tries again",
        {
          id,
          error,
        },
      );
      return;
    }
    this.#delete(retired);
  }

  /** Deletes every folder that has no snapshot and is not kept, and waits for deletions in progress. */
  async sweep(ids: ReadonlySet<number>): Promise<void> {
    for (const { name } of [...Deno.readDirSync(this.#root)]) {
      const wanted = isNumber(name) &&
        (ids.has(Number(name)) || this.#isKept(name));
      if (!wanted && !this.#staged.has(name)) this.#delete(name);
    }
    await this.settled();
  }

  /**
   * Keeps folders that have no snapshot until the machine is restarted: their rows were lost, and containers may be
   * running on them. @throws FileError
   */
  keepWithout(ids: ReadonlySet<number>): void {
    const boot = bootId();
    for (const { name } of Deno.readDirSync(this.#root)) {
      if (!isNumber(name) || ids.has(Number(name))) continue;
      writeWholeSync(`${this.#root}/${name}/${KEPT}`, boot);
    }
  }

  #isKept(name: string): boolean {
    return readTextIfThere(`${this.#root}/${name}/${KEPT}`) === bootId();
  }

  /** Resolves when no deletion is in progress. */
  async settled(): Promise<void> {
    await Promise.all(this.#deletions.values());
  }

  #delete(name: string): void {
    if (this.#deletions.has(name)) return;
    const deletion = deleteTree(`${this.#root}/${name}`)
      .finally(() => this.#deletions.delete(name));
    this.#deletions.set(name, deletion);
  }
}

/** Makes a directory with exactly this mode, whatever the umask is. */
/** Older releases wrote the record alone. */
function unchecked(line: string): string | null {
  try {
    JSON.parse(line);
    return line;
  } catch {
    return null;
  }
}

const isNumber = (name: string) => /^[1-9][0-9]*$/.test(name);

function makeDirectory(path: string, mode: number): void {
  Deno.mkdirSync(path);
  Deno.chmodSync(path, mode);
}

/** Deletes a folder, but nothing that is mounted below it: that belongs to somebody else. */
async function deleteTree(path: string): Promise<void> {
  try {
    const [mount] = mountsBelow(path);
    if (mount !== undefined) {
      log.warn("a removed snapshot is still mounted, its files stay for now", {
        path,
        mount,
      });
      return;
    }
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    log.warn(
      "cannot delete a removed snapshot, the next clean-up tries again",
      {
        path,
        error,
      },
    );
  }
}
