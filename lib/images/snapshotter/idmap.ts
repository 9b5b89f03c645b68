import { createHash } from "node:crypto";
import type { IdMaps } from "../../host/mounting/mod.ts";
import { SnapshotError } from "./errors.ts";
import type { Owner } from "./types.ts";
import { targetOf } from "./requests.ts";
import { GID_MAPPING_LABEL, type Labels, UID_MAPPING_LABEL } from "./types.ts";

/** How a container with a user namespace of its own sees owners. */
export interface IdMapping {
  /** As the kernel takes them: inside first, which is as it is on disk. */
  readonly maps: IdMaps;
  /** Short and the same for equal mappings: a name for a folder. */
  readonly name: string;
  /** The host's IDs of the container's root: owner of the writable layer. */
  readonly root: Owner;
}

/**
 * The kernel takes 340 ranges, and one page of text. Kubernetes gives one; whoever splits around IDs
 * that belong to somebody needs a few.
 */
const MAX_RANGES = 64;
/** Three numbers of ten digits and their colons, and a comma. */
const MAX_RANGE_BYTES = 33;
/** The last ID means "none" to the kernel. */
const MAX_ID = 2 ** 32 - 2;
/** Of a mapping that is told in an error. */
const MAX_SHOWN = 60;

interface Range {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

/**
 * Reads the mapping from a snapshot's labels. containerd sets them with and without the capability
 * `remap-ids`.
 *
 * Labels of a layer that is being unpacked (they name a target) are no container's: containerd hands on
 * what an image's manifest says there, and layers are the same for all.
 *
 * @returns null when there is none.
 * @throws SnapshotError `invalid-argument` for a mapping that cannot be read, that the kernel would
 * refuse, or that has no root.
 */
export function idMapping(key: string, labels: Labels): IdMapping | null {
  const uids = labels[UID_MAPPING_LABEL] || undefined;
  const gids = labels[GID_MAPPING_LABEL] || undefined;
  if (uids === undefined && gids === undefined) return null;
  if (targetOf({ key, labels }) !== null) return null;
  if (uids === undefined || gids === undefined) {
    const only = uids === undefined ? "groups" : "users";
    throw invalid(`snapshot ${key} maps ${only} only`, key);
  }
  const users = readRanges(key, uids);
  const groups = readRanges(key, gids);
  const maps = { uids: mapText(users), gids: mapText(groups) };
  return {
    maps,
    name: createHash("sha256").update(`${maps.uids}\n${maps.gids}`)
      .digest("hex").slice(0, 16),
    root: { uid: hostRoot(key, uids, users), gid: hostRoot(key, gids, groups) },
  };
}

/** The ranges of `inside:outside:count,…`, lowest first. */
function readRanges(key: string, mapping: string): Range[] {
  const wrong = (why: string) => refusal(key, mapping, why);
  if (mapping.length > MAX_RANGES * MAX_RANGE_BYTES) {
    throw wrong(`is longer than ${MAX_RANGES} ranges`);
  }
  const texts = mapping.split(",");
  if (texts.length > MAX_RANGES) {
    throw wrong(`has ${texts.length} ranges, ${MAX_RANGES} are taken`);
  }
  const ranges = texts.map((text): Range => {
    const [, ...fields] = text.match(/^(\d{1,10}):(\d{1,10}):(\d{1,10})$/) ??
      [];
    const [inside, outside, count] = fields.map(Number);
    if (inside === undefined || outside === undefined || count === undefined) {
      throw wrong("is not of the form inside:outside:count");
    }
    if (count === 0 || Math.max(inside, outside) + count - 1 > MAX_ID) {
      throw wrong("has a range that is empty or ends above the last ID");
    }
    return { inside, outside, count };
  });
  for (const side of ["inside", "outside"] as const) {
    ranges.sort((a, b) => a[side] - b[side]);
    const twice = ranges.some((range, at) => {
      const before = ranges[at - 1];
      return before !== undefined && before[side] + before.count > range[side];
    });
    if (twice) throw wrong("has ranges that overlap");
  }
  return ranges.sort((a, b) => a.inside - b.inside);
}

function mapText(ranges: readonly Range[]): string {
  return ranges.map(({ inside, outside, count }) =>
    `${inside} ${outside} ${count}\n`
  ).join("");
}

function hostRoot(
  key: string,
  mapping: string,
  [lowest]: readonly Range[],
): number {
  if (lowest?.inside === 0) return lowest.outside;
  throw refusal(key, mapping, "does not map root");
}

function refusal(key: string, mapping: string, why: string): SnapshotError {
  const shown = mapping.length > MAX_SHOWN
    ? `${mapping.slice(0, MAX_SHOWN)}…`
    : mapping;
  return invalid(
    `snapshot ${key}: ID mapping ${JSON.stringify(shown)} ${why}`,
    key,
  );
}

function invalid(message: string, key: string): SnapshotError {
  return new SnapshotError("invalid-argument", key, message);
}
