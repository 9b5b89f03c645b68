/**
 * What an installation changed: written before the first change, removed after the last one is undone. So a kill at
 * any moment leaves enough to go on, and enough to go back.
 * @module
 */
import {
  array,
  boolean,
  literal,
  nullable,
  number,
  object,
  picklist,
  safeParse,
  string,
  union,
} from "valibot";
import {
  BASES,
  CONTAINERD_CONFIG,
  DAEMON_CONFIG,
  FOLDERS,
  RECORD,
  UNITS,
} from "./places.ts";
import { type Tree, TreeError } from "./tree.ts";

const KNOWN = [
  DAEMON_CONFIG,
  CONTAINERD_CONFIG,
  ...UNITS.map((name) => `${FOLDERS.units}/${name}`),
];

const RecordSchema = object({
  version: literal(1),
  files: array(object({
    path: picklist(KNOWN),
    /** What was there; null: nothing. */
    before: nullable(string()),
    mode: number(),
    after: string(),
    /** Of a file that is edited: the keys, with what they were. */
    keys: array(object({
      table: array(string()),
      key: string(),
      value: union([string(), number(), boolean()]),
      before: nullable(union([string(), number(), boolean()])),
    })),
  })),
  folders: array(picklist([...BASES, FOLDERS.units])),
});

/** What an installation changed. */
export type InstallRecord = ReturnType<typeof parseRecord>;
/** One file of it. */
export type RecordedFile = InstallRecord["files"][number];

/** @throws TreeError where the file is no such record */
function parseRecord(text: string, at: string) {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  const { success, output } = safeParse(RecordSchema, value);
  if (success) return output;
  throw new TreeError(
    `${at} is no record of an installation: move it away, and undo by hand what \`soci-deno install\` wrote`,
  );
}

/** What an earlier installation noted; null without one. @throws TreeError, FileError */
export function readRecord(tree: Tree): InstallRecord | null {
  const text = tree.read(RECORD);
  return text === null ? null : parseRecord(text, tree.at(RECORD));
}

/** Notes what is going to be changed. @throws TreeError, FileError */
export async function writeRecord(
  tree: Tree,
  record: InstallRecord,
): Promise<void> {
  await tree.write(RECORD, `${JSON.stringify(record, null, 2)}\n`, 0o600);
}
