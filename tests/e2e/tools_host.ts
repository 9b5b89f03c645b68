/** A host for the index tools: containerd, a registry, and a root of their own. @module */
import assert from "node:assert/strict";
import {
  type CommandResult,
  type Containerd,
  type DockerRegistry,
  startContainerd,
  startDockerRegistry,
} from "../support/host/mod.ts";
import {
  compressible,
  type Image,
  imageIndex,
  type ImageSet,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
  writeLayout,
} from "../support/images/mod.ts";
import { sociDeno } from "./host.ts";

const BASE = layerBlob(
  new TarBuilder().dir("etc").file("etc/hostname", "base\n")
    .file("app/big", incompressible(3 * 2 ** 20))
    .file("app/text", compressible(2 ** 20)),
);
const TOP = layerBlob(
  new TarBuilder().file("app/top", incompressible(2 ** 20, 7))
    .file("etc/hostname", "top\n"),
  { compression: "gzip-multi" },
);
const PLAIN = layerBlob(new TarBuilder().file("plain", "plain text"), {
  compression: "none",
});

/** Three layers: 3 MB and 1 MB of gzip, a small plain tar. */
export function toolsImage(architecture = "amd64"): Image {
  return makeImage({
    layers: [BASE, TOP, PLAIN],
    platform: { os: "linux", architecture },
  });
}

/** Two platforms. */
export function toolsIndex(): ImageSet {
  return imageIndex([toolsImage("amd64"), toolsImage("arm64")]);
}

/** Registry, containerd, and a root. Images are in both. */
export class ToolsHost implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly containerd: Containerd,
    readonly registry: DockerRegistry,
  ) {}

  static async start(): Promise<ToolsHost> {
    return new ToolsHost(
      await Deno.makeTempDir({ prefix: "soci-deno-tools-" }),
      await startContainerd(),
      await startDockerRegistry(),
    );
  }

  /** A reference into the registry. */
  ref(name: string): string {
    return `${this.registry.host}/${name}`;
  }

  /** Puts an image into the registry and pulls all of it into containerd. @returns its reference. */
  async add(name: string, image: Image | ImageSet): Promise<string> {
    await pushImage(this.registry.host, name, image);
    const ref = this.ref(name);
    await this.containerd.ctr(
      ...["content", "fetch", "--plain-http", "--all-platforms", ref],
    );
    return ref;
  }

  /** Writes an image as a layout folder. @returns the folder. */
  async layout(name: string, image: Image | ImageSet): Promise<string> {
    const folder = `${this.folder}/${name}`;
    await writeLayout(folder, image);
    return folder;
  }

  /** A command line of the existing tool, with its global flags, whatever its exit code. */
  trySoci(...args: string[]): Promise<CommandResult> {
    return sociDeno(
      ...["soci", "-a", this.containerd.address],
      ...["--root", `${this.folder}/root`, ...args],
    );
  }

  /** The same, which has to succeed. @returns what it printed. */
  async soci(...args: string[]): Promise<string> {
    return succeeded(await this.trySoci(...args), args);
  }

  /** A command line of ours, which has to succeed. @returns what it printed. */
  async tool(...args: string[]): Promise<string> {
    return succeeded(
      await sociDeno(...args, "--root", `${this.folder}/root`),
      args,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.containerd.close();
    await this.registry.close();
    await Deno.remove(this.folder, { recursive: true });
  }
}

function succeeded({ code, stdout, stderr }: CommandResult, args: string[]) {
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}\n${stdout}`);
  return stdout;
}

/** Lines without order: layers are told as they are finished. */
export function sortedLines(text: string): string[] {
  return text.trimEnd().split("\n").sort();
}

/** Every digest of a text, in order. */
export function digestsIn(text: string): string[] {
  return [...text.matchAll(/sha256:[0-9a-f]{64}/g)].map(([digest]) => digest);
}
