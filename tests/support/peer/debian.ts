import { run } from "../host/mod.ts";

const RELEASE = "trixie";
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
 * Unpacks a package of a newer Debian release into a folder. apt does it in a root of its own, so
 * that signatures and checksums are verified and the system's package lists stay as they are.
 */
export async function unpackPackage(
  mirror: string,
  name: string,
  folder: string,
): Promise<void> {
  const work = await Deno.makeTempDir({ prefix: "soci-deno-apt-" });
  try {
    await Deno.mkdir(`${work}/lists/partial`, { recursive: true });
    await Deno.mkdir(`${work}/cache/archives/partial`, { recursive: true });
    await Deno.writeTextFile(
      `${work}/sources.list`,
      `deb [signed-by=${KEYRING}] ${mirror} ${RELEASE} main\n`,
    );
    const options = [
      `Dir::Etc::SourceList=${work}/sources.list`,
      "Dir::Etc::SourceParts=/dev/null",
      `Dir::State::Lists=${work}/lists`,
      `Dir::Cache=${work}/cache`,
      "Acquire::Languages=none",
      "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
      "APT::Sandbox::User=root", // apt's own user may not write to our folder
    ].flatMap((option) => ["-o", option]);
    const limits = { timeoutMs: 180_000, cwd: work };
    await run("apt-get", [...options, "update"], limits);
    await run("apt-get", [...options, "download", name], limits);
    const archive = listed(work).find((path) => path.endsWith(".deb"))!;
    await run("dpkg-deb", ["-x", archive, folder], limits);
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
