/**
 * A small file beside a database that says how far the database was: so that one that is lost, or an older copy, is
 * seen for what it is.
 * @module
 */
import { checkedLine, textOfLine } from "./checked_line.ts";
import { FileError } from "./errors.ts";
import { readTextIfThere } from "./there.ts";
import { writeAllSync } from "./whole.ts";

/** What the file says. */
export interface DatabaseMark {
  /** Of the database: another one cannot go on where that stopped. */
  readonly generation: string;
  /** Of the machine's run in which it was written. */
  readonly bootId: string;
  /** The highest number that was ever given out. */
  readonly highest: number;
  /** How many transactions were committed, where they are counted. */
  readonly changes?: number;
}

/** The file is written over in place: that needs no room, and a process that is killed leaves the old or the new. */
const FILE_BYTES = 512;

/** What a mark file says: null where there is none, `damaged` where it cannot be believed. @throws FileError */
export function readMark(path: string): DatabaseMark | "damaged" | null {
  const line = readTextIfThere(path);
  if (line === null) return null;
  const text = line.length === FILE_BYTES
    ? textOfLine(`${line.trimEnd()}\n`)
    : null;
  // What has its checksum was written here.
  return text === null ? "damaged" : JSON.parse(text) as DatabaseMark;
}

/** Writes a mark file. @throws FileError */
export function writeMark(path: string, mark: DatabaseMark): void {
  const line = checkedLine(JSON.stringify(mark)).padEnd(FILE_BYTES - 1);
  try {
    using file = Deno.openSync(path, {
      write: true,
      create: true,
      mode: 0o600,
    });
    writeAllSync(file, new TextEncoder().encode(`${line}\n`));
  } catch (cause) {
    throw new FileError("write", path, cause);
  }
}
