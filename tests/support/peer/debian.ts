import { run } from "../host/mod.ts";

/** A release of Debian newer than the one that the tests run on. */
export type NewerRelease = "trixie" | "sid";

/** Why something is not available on this machine. */
export interface NotHere {
  readonly reason: string;
}

/** Where a package's libraries are in its folder. */
export const LIBRARY_FOLDER = Deno.build.arch === "aarch64"
  ? "usr/lib/aarch64-linux-gnu"
  : "usr/lib/x86_64-linux-gnu";
/** What starts programs of another C library, in the folder of that library. */
export const LOADER = Deno.build.arch === "aarch64"
  ? "ld-linux-aarch64.so.1"
  : "ld-linux-x86-64.so.2";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** The Debian archive this machine installs from; undefined on other distributions. */
export function debianMirror(): string | undefined {
  const texts = ["/etc/apt/sources.list", ...listed("/etc/apt/sources.list.d")]
    .map(readIfThere);
  for (const text of texts) {
    // one-line style: `deb [options] URI suite`; deb822 style: `URIs: URI`
    for (
      const [, uri] of text.matchAll(/^(?:deb\s.*?|URIs:\s*)(https?:\S+)/gm)
    ) {
      if (/\/debian\/?$/.test(uri!)) return uri!.replace(/\/$/, "");
    }
  }
  return undefined;
}

/**
 * The folder with the unpacked files of a newer release's package. It is fetched once per machine.
 * @param libraries packages unpacked into the same folder.
 */
export async function newerPackage(
  name: string,
  release: NewerRelease,
  libraries: readonly string[] = [],
): Promise<{ folder: string } | NotHere> {
  const folder = `/var/tmp/soci-deno-${name}-${release}`;
  if (exists(folder)) return { folder };
  const mirror = debianMirror();
  if (mirror === undefined) {
    return { reason: "apt is not configured for a Debian archive" };
  }
  // Unpack aside and rename, so that an interrupted run leaves no incomplete folder.
  const aside = await Deno.makeTempDir({ dir: "/var/tmp" });
  try {
    const names = [name, ...libraries];
    await unpackPackages({ mirror, names, release, folder: aside });
    await Deno.rename(aside, folder);
  } catch (error) {
    await Deno.remove(aside, { recursive: true });
    if (!exists(folder)) throw error; // otherwise another run was faster
  }
  return { folder };
}

/**
 * Unpacks packages. apt fetches them with lists of its own, so that signatures and checksums are
 * verified and the system's package lists stay as they are.
 */
async function unpackPackages(
  options: {
    mirror: string;
    names: readonly string[];
    release: NewerRelease;
    folder: string;
  },
): Promise<void> {
  const { mirror, names, release, folder } = options;
  const work = await Deno.makeTempDir({ prefix: "soci-deno-apt-" });
  try {
    await Deno.mkdir(`${work}/lists/partial`, { recursive: true });
    await Deno.mkdir(`${work}/cache/archives/partial`, { recursive: true });
    await Deno.writeTextFile(
      `${work}/sources.list`,
      `deb [signed-by=${KEYRING}] ${mirror} ${release} main\n`,
    );
    const settings = [
      `Dir::Etc::SourceList=${work}/sources.list`,
      "Dir::Etc::SourceParts=/dev/null",
      `Dir::State::Lists=${work}/lists`,
      `Dir::Cache=${work}/cache`,
      "Acquire::Languages=none",
      "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
      "APT::Sandbox::User=root", // apt's own user may not write into our folder
    ].flatMap((option) => ["-o", option]);
    const limits = { timeoutMs: 180_000, cwd: work };
    await run("apt-get", [...settings, "update"], limits);
    await run("apt-get", [...settings, "download", ...names], limits);
    for (const archive of listed(work).filter((it) => it.endsWith(".deb"))) {
      await run("dpkg-deb", ["-x", archive, folder], limits);
    }
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

function listed(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`);
  } catch {
    return []; // no such folder: nothing is configured there
  }
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return ""; // this style of configuration is not in use
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false; // not fetched yet
  }
}
