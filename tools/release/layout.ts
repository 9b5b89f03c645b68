/** What lies where on a host. @module */
import { bashScript } from "../../cmd/completion/bash.ts";
import { fishScript } from "../../cmd/completion/fish.ts";
import { GROUPS, LINES } from "../../cmd/completion/lines.ts";
import { zshScript } from "../../cmd/completion/zsh.ts";
import type { Bundle } from "../binary/bundle.ts";
import { ROOT } from "../binary/starts.ts";
import { writeManual } from "../manual/mod.ts";

/** What is laid out. */
export interface LayoutOptions {
  /** Where `bin`, `lib` and `share` go, below the folder: empty or `/usr`. */
  readonly prefix: string;
  /** Where those are on the host. */
  readonly onHost: "/usr/local" | "/usr";
  /** The binary; null: the bundle, which needs the host's Deno. */
  readonly binary: string | null;
  readonly made: Bundle;
  readonly sbom: string;
}

/** Links of the existing tools' names. */
const LINKS = ["soci", "soci-snapshotter-grpc"];
const UNITS = ["soci-snapshotter.service", "soci-snapshotter.socket"];
const TEXTS = ["README.md", "CHANGELOG.md", "LICENSE"];

/** Writes everything below a folder. */
export async function layOut(
  folder: string,
  { prefix, onHost, binary, made, sbom }: LayoutOptions,
): Promise<void> {
  const at = `${folder}${prefix}`;
  const write = async (path: string, text: string) => {
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, text);
  };
  await Deno.mkdir(`${at}/bin`, { recursive: true });
  if (binary === null) {
    await Deno.mkdir(`${at}/lib/soci-deno`, { recursive: true });
    for (const name of made.files) {
      await Deno.copyFile(
        `${made.folder}/${name}`,
        `${at}/lib/soci-deno/${name}`,
      );
    }
    await Deno.symlink("../lib/soci-deno/soci-deno", `${at}/bin/soci-deno`);
  } else {
    await Deno.copyFile(binary, `${at}/bin/soci-deno`);
    await Deno.chmod(`${at}/bin/soci-deno`, 0o755);
  }
  for (const name of LINKS) {
    await Deno.symlink("soci-deno", `${at}/bin/${name}`);
  }
  for (const name of UNITS) {
    const text = await Deno.readTextFile(`${ROOT}packaging/${name}`);
    await write(
      `${at}/lib/systemd/system/${name}`,
      text.replaceAll("/usr/local/bin/", `${onHost}/bin/`),
    );
  }
  await write(
    `${folder}/etc/soci-snapshotter-grpc/config.toml`,
    await Deno.readTextFile(`${ROOT}packaging/config.toml`),
  );
  const share = `${at}/share`;
  for (
    const [path, script] of [
      ["bash-completion/completions/soci-deno", bashScript],
      ["zsh/site-functions/_soci-deno", zshScript],
      ["fish/vendor_completions.d/soci-deno.fish", fishScript],
    ] as const
  ) await write(`${share}/${path}`, script(LINES, GROUPS));
  await writeManual(`${share}/man/man1`);
  const doc = `${share}/doc/soci-deno`;
  for (const name of TEXTS) {
    await write(`${doc}/${name}`, await Deno.readTextFile(`${ROOT}${name}`));
  }
  await write(
    `${doc}/licences.txt`,
    await Deno.readTextFile(`${made.folder}/licences.txt`),
  );
  await write(`${doc}/sbom.cdx.json`, sbom);
}
