/**
 * `deno task release [DIR] [bundle | x86_64 | aarch64 …]`: writes what is published, `dist/release` unless said
 * otherwise: for each architecture a tarball and a Debian package with the binary, and a tarball with the bundle for
 * hosts that have Deno; with completion, manual pages, units, licences, SBOM and checksums.
 *
 * The same tree gives the same bytes. `DENORT_BIN_X86_64` and `DENORT_BIN_AARCH64` name base runtimes where Deno
 * cannot download them.
 * @module
 */
import { createHash } from "node:crypto";
import { isAbsolute, join } from "node:path";
import { VERSION } from "../../cmd/version.ts";
import { type Bundle, bundle } from "../binary/bundle.ts";
import { compile } from "../binary/compile.ts";
import { ROOT } from "../binary/starts.ts";
import { tryBinary } from "../binary/trial.ts";
import { debianPackage, tarball } from "./archives.ts";
import { controlFiles, DEBIAN_ARCHITECTURES } from "./debian.ts";
import { layOut } from "./layout.ts";
import { sbomOf } from "./sbom.ts";

/** An architecture that is published. */
export type Architecture = keyof typeof DEBIAN_ARCHITECTURES;

/** A program for one of them. */
export interface Binary {
  readonly architecture: Architecture;
  readonly path: string;
  /** The version of the runtime inside. */
  readonly deno: string;
}

/**
 * Writes the archives of a program. @param binary null: of the bundle
 * @returns their names
 */
export async function writeArchives(
  folder: string,
  made: Bundle,
  binary: Binary | null,
): Promise<readonly string[]> {
  const lock = await Deno.readTextFile(`${ROOT}deno.lock`);
  const { time, packages } = made;
  const sbom = sbomOf({
    ...{ version: VERSION, time, packages, lock, deno: binary?.deno ?? null },
  });
  const base = `soci-deno-${VERSION}`;
  const name = binary === null
    ? `${base}-bundle`
    : `${base}-linux-${binary.architecture}`;
  const program = { binary: binary?.path ?? null, made, sbom };
  const names = [`${name}.tar.gz`];
  await inScratch(async (work) => {
    await layOut(work, { ...program, prefix: "", onHost: "/usr/local" });
    await tarball(work, join(folder, names[0]!), name, time);
  });
  await Deno.writeTextFile(join(folder, `${name}.cdx.json`), sbom);
  names.push(`${name}.cdx.json`);
  if (binary === null) return names;
  const { architecture } = binary;
  const deb = `soci-deno_${VERSION}_${DEBIAN_ARCHITECTURES[architecture]}.deb`;
  await inScratch(async (work) => {
    await layOut(`${work}/tree`, {
      ...{ ...program, prefix: "/usr", onHost: "/usr" },
    });
    const bytes = await sizeOf(`${work}/tree`);
    await Deno.mkdir(`${work}/control`);
    const files = controlFiles({ version: VERSION, architecture, bytes });
    for (const [file, [text, mode]] of Object.entries(files)) {
      await Deno.writeTextFile(`${work}/control/${file}`, text);
      await Deno.chmod(`${work}/control/${file}`, mode);
    }
    await debianPackage(
      join(folder, deb),
      `${work}/tree`,
      `${work}/control`,
      time,
    );
  });
  return [...names, deb];
}

/** Writes `SHA256SUMS` of files in a folder, as `sha256sum --check` reads it. */
export async function writeSums(
  folder: string,
  names: readonly string[],
): Promise<void> {
  const lines: string[] = [];
  for (const name of names.toSorted()) {
    const hash = createHash("sha256")
      .update(await Deno.readFile(join(folder, name))).digest("hex");
    lines.push(`${hash}  ${name}\n`);
  }
  await Deno.writeTextFile(join(folder, "SHA256SUMS"), lines.join(""));
}

async function inScratch(use: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-release-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) bytes += await sizeOf(path);
    else if (isFile) bytes += (await Deno.stat(path)).size;
  }
  return bytes;
}

const ALL = ["bundle", ...Object.keys(DEBIAN_ARCHITECTURES)];

async function main(args: readonly string[]): Promise<number> {
  const wanted = args.filter((word) => ALL.includes(word));
  const [given = "dist/release", ...more] = args
    .filter((word) => !ALL.includes(word));
  if (more.length > 0) {
    console.error(`release: say a folder and any of ${ALL.join(", ")}`);
    return 2;
  }
  const folder = isAbsolute(given) ? given : join(ROOT, given);
  await Deno.mkdir(folder, { recursive: true });
  const names: string[] = [];
  let code = 0;
  await inScratch(async (work) => {
    const made = await bundle(`${work}/bundle`);
    for (const what of wanted.length > 0 ? wanted : ALL) {
      try {
        names.push(
          ...await writeArchives(
            folder,
            made,
            what === "bundle"
              ? null
              : await compiled(work, made, what as Architecture),
          ),
        );
      } catch (error) {
        code = 1;
        console.error(`release: ${what}: ${(error as Error).message}`);
      }
    }
  });
  await writeSums(folder, names);
  for (const name of [...names, "SHA256SUMS"]) {
    console.log(`${folder}/${name}`);
  }
  return code;
}

async function compiled(
  work: string,
  made: Bundle,
  architecture: Architecture,
): Promise<Binary> {
  const path = `${work}/${architecture}`;
  const baseRuntime = Deno.env.get(
    `DENORT_BIN_${architecture.toUpperCase()}`,
  ) ??
    (architecture === Deno.build.arch ? Deno.env.get("DENORT_BIN") : undefined);
  await compile(path, { made, architecture, baseRuntime });
  if (await tryBinary(path, made.version, architecture) === null) {
    console.error(`release: ${architecture}: not tried on this machine`);
  }
  return { architecture, path, deno: Deno.version.deno };
}

// Some commands, whose help is read, load what keeps a process alive.
if (import.meta.main) Deno.exit(await main(Deno.args));
