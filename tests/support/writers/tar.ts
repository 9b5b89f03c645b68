import { run, tryRun } from "../host/mod.ts";
import type { SourceKind } from "./source.ts";

/** A program that makes tar archives of folders. */
export interface TarWriter {
  readonly name: string;
  /** What its format can express. */
  readonly source: SourceKind;
  /** Packs the folder into a file. */
  write(folder: string, file: string): Promise<void>;
  /** What this machine lacks to run it; null if nothing. */
  missing(): Promise<string | null>;
}

const HERE = new URL(".", import.meta.url).pathname;

async function has(program: string): Promise<string | null> {
  const { code } = await tryRun("sh", ["-c", `command -v ${program}`]);
  return code === 0 ? null : `there is no ${program}`;
}

/** Runs a shell command in which `$1` is the folder and `$2` the file. */
const shell = (command: string) => async (folder: string, file: string) => {
  await run("sh", ["-c", `set -e; ${command}`, "sh", folder, file]);
};

const gnu = (format: string, source: SourceKind, flags = ""): TarWriter => ({
  name: `GNU tar, ${format}`,
  source,
  write: shell(
    `tar --format=${format} ${flags} --numeric-owner -C "$1" -cf "$2" .`,
  ),
  missing: () => has("tar"),
});

const bsd = (format: string, source: SourceKind, flags = ""): TarWriter => ({
  name: `bsdtar, ${format}`,
  source,
  write: shell(`cd "$1"; bsdtar --format=${format} ${flags} -cf "$2" *`),
  missing: () => has("bsdtar"),
});

const python = (format: string, source: SourceKind): TarWriter => ({
  name: `Python tarfile, ${format}`,
  source,
  write: shell(`/usr/bin/python3 -I ${HERE}pytar.py ${format} "$1" > "$2"`),
  missing: () => has("/usr/bin/python3"),
});

let goProgram: Promise<string> | undefined;

/** A packer that uses Go's archive/tar, built once. */
export function gotar(): Promise<string> {
  goProgram ??= (async () => {
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-gotar-" });
    globalThis.addEventListener("unload", () => {
      Deno.removeSync(folder, { recursive: true });
    });
    await run("go", ["build", "-o", `${folder}/gotar`, "."], {
      cwd: `${HERE}gotar`,
      timeoutMs: 180_000,
    });
    return `${folder}/gotar`;
  })();
  return goProgram;
}

const go = (format: string, source: SourceKind): TarWriter => ({
  name: `Go archive/tar, ${format}`,
  source,
  async write(folder, file) {
    await shell(`${await gotar()} ${format} "$1" > "$2"`)(folder, file);
  },
  missing: () => has("go"),
});

/** All programs, each in all its formats. */
export const TAR_WRITERS: readonly TarWriter[] = [
  gnu("gnu", "plain"),
  gnu("oldgnu", "plain"),
  gnu("ustar", "plain"),
  gnu("posix", "rich", "--xattrs --xattrs-include=* --acls"),
  bsd("ustar", "plain"),
  bsd("gnutar", "plain"),
  bsd("pax", "rich", "--xattrs --acls"),
  go("ustar", "plain"),
  go("gnu", "plain"),
  go("pax", "rich"),
  python("USTAR", "plain"),
  python("GNU", "plain"),
  python("PAX", "rich"),
];
