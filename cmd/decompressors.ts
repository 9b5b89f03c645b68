/** The programs that the configuration has decompress layers. @module */
import {
  type Config,
  ConfigError,
  type ProgramConfig,
} from "../lib/config/mod.ts";
import type { Decompressors } from "../lib/images/lazy/mod.ts";
import { BY_LIBC } from "./looks.ts";

const TABLE = "pull_modes.parallel_pull_unpack.decompress_streams";
/** Of a mode: what all users may run, or enter. */
const ANYBODY_MAY = 0o001;
/** Of a mode: what some may run. */
const SOME_MAY = 0o111;

/**
 * Those programs, by how a layer is compressed. They are looked at once, at the start: whether one works is seen with
 * the first layer.
 * @throws ConfigError for one that is not there or cannot be run
 */
export function decompressors(
  { pull_modes: { parallel_pull_unpack } }: Pick<Config, "pull_modes">,
): Decompressors {
  const { gzip, zstd } = parallel_pull_unpack.decompress_streams;
  return {
    ...(gzip !== undefined && { gzip: checked("gzip", gzip) }),
    ...(zstd !== undefined && { zstd: checked("zstd", zstd) }),
  };
}

function checked(name: string, program: ProgramConfig): ProgramConfig {
  const { path } = program;
  const wrong = (what: string) =>
    new ConfigError(`${TABLE}.${name}.path: ${what}`);
  let file: string;
  let info: Deno.FileInfo;
  try {
    file = Deno.realPathSync(path);
    info = Deno.statSync(path);
  } catch {
    throw wrong(`there is no ${path}`);
  }
  const { isFile, mode } = info;
  if (!isFile) throw wrong(`${path} is no file`);
  if (((mode ?? 0) & SOME_MAY) === 0) throw wrong(`${path} is not executable`);
  for (let at = file; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    if (((BY_LIBC.at(at)?.mode ?? 0) & ANYBODY_MAY) !== 0) continue;
    throw wrong(
      `${path} cannot be run by all users, because of the mode of ${at}: it runs as nobody`,
    );
  }
  return program;
}
