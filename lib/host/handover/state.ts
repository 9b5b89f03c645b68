import * as v from "valibot";
import { sha256 } from "../../formats/oci/mod.ts";
import {
  readTextIfThere,
  removeIfThere,
  writeWholeSync,
} from "../files/mod.ts";

/**
 * Raise it when the meaning of a field changes. A process takes over only a schema that it knows.
 * `bootId` and `holder` mean the same in every schema, so that any release can end a holder.
 */
export const HANDOVER_SCHEMA = 1;

const pid = v.pipe(v.number(), v.integer(), v.minValue(2));
const word = v.pipe(v.number(), v.integer(), v.minValue(0));

const schema = v.object({
  schema: v.literal(HANDOVER_SCHEMA),
  /** ID of the boot in which it was written; after another boot the state is meaningless. */
  bootId: v.string(),
  mounts: v.array(v.object({
    name: v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,32}$/)),
    mountpoint: v.string(),
    /** `major:minor` of the mount. */
    device: v.string(),
    negotiated: v.object({ minor: word, flags: word, flags2: word }),
    /** Its descriptor in the holder process, if there is one. */
    heldAs: v.nullable(word),
  })),
  holder: v.nullable(v.object({ pid, started: v.string() })),
  /** The socket that containerd calls; none where the service manager made it, or in older releases. */
  socket: v.optional(v.object({
    address: v.string(),
    /** Which file it is: another one may have its name by now. */
    file: v.string(),
    heldAs: v.nullable(word),
  })),
  /** What numbers the kernel knows by these mounts; older releases wrote none. */
  slots: v.optional(v.object({ generation: v.string(), highest: word })),
});

/** Checksum of everything else in the file. Files of releases that wrote none are accepted. */
const checksumSchema = v.object({ checksum: v.optional(v.string()) });

/** What one process leaves to the next: which mounts there are and who holds their descriptors. */
export type HandoverState = v.InferOutput<typeof schema>;

/** The state cannot be used; the message says why. */
export class HandoverStateError extends Error {
  override readonly name = "HandoverStateError";
}

/**
 * The state in a file; null when there is no file.
 * @throws HandoverStateError when it is torn or damaged, or from a release with another format.
 */
export function readState(path: string): HandoverState | null {
  const text = readTextIfThere(path);
  if (text === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new HandoverStateError(`${path} is no JSON`);
  }
  const found = (value as { schema?: unknown } | null)?.schema;
  if (found !== HANDOVER_SCHEMA) {
    throw new HandoverStateError(
      `${path} has schema ${
        JSON.stringify(found)
      }, this release knows ${HANDOVER_SCHEMA}`,
    );
  }
  const { checksum } = v.parse(checksumSchema, value);
  if (checksum !== undefined && checksum !== checksumOf(value as object)) {
    throw new HandoverStateError(
      `${path} is torn: its checksum is another one`,
    );
  }
  const parsed = v.safeParse(schema, value);
  if (!parsed.success) {
    throw new HandoverStateError(`${path}: ${parsed.issues[0].message}`);
  }
  return parsed.output;
}

/** The holder named in a file of any schema; null when there is none, or no such file. */
export function readHolder(
  path: string,
): Pick<HandoverState, "bootId" | "holder"> | null {
  const text = readTextIfThere(path);
  if (text === null) return null;
  try {
    const parsed = v.safeParse(
      v.pick(schema, ["bootId", "holder"]),
      JSON.parse(text),
    );
    return parsed.success ? parsed.output : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/**
 * Replaces the file atomically; it is on disk before it gets its name. Mounts do not survive a reboot,
 * but the next boot should find a complete state that shows this.
 *
 * The file contains the line `"pid": ID,` of the holder, which looks for it.
 * @throws FileError
 */
export function writeState(path: string, state: HandoverState): void {
  const whole = { ...state, checksum: checksumOf(state) };
  writeWholeSync(path, JSON.stringify(whole, null, 1), { sync: "data" });
}

/** Fields keep their order in JSON. */
function checksumOf(state: object): string {
  const { checksum: _, ...rest } = state as { checksum?: unknown };
  return sha256(new TextEncoder().encode(JSON.stringify(rest)));
}

/** Removes the file, if it is there. @throws FileError */
export function removeState(path: string): void {
  removeIfThere(path);
}
