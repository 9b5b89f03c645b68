/**
 * `deno task node-image [ARCHIVE]`: the image of `deploy/kubernetes/install.yaml` as an OCI archive,
 * `dist/soci-deno-install.tar` unless said otherwise: a static busybox, `dist/soci-deno`, the units and the script that
 * puts them on a host. No container tool and no other image is needed. The same files give the same bytes.
 * @module
 */
import { gunzipSync } from "node:zlib";
import { join } from "node:path";
import { VERSION } from "../../cmd/version.ts";
import { canonicalJson, sha256 } from "../../lib/formats/oci/mod.ts";
import { ROOT } from "../binary/starts.ts";
import { tarball } from "./archives.ts";

/** What the image is made of. */
export interface NodeImageOptions {
  /** The binary that hosts get. */
  readonly binary: string;
  /** A static busybox: Debian's package `busybox-static` has one. */
  readonly busybox: string;
  /** The archive. */
  readonly output: string;
}

/** Go's name of this machine's architecture. */
const ARCHITECTURE = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
/** What the script runs. */
const APPLETS = [
  ...["sh", "cmp", "cp", "mv", "chmod", "mkdir", "dirname", "rm", "nsenter"],
  ...["sleep", "cat", "ls"],
];
const UNITS = ["soci-snapshotter.service", "soci-snapshotter.socket"];
/** All times in it: those of the files would be another one each time. */
const EPOCH = new Date(0);
const OCI = "application/vnd.oci.image";

/** Writes it. @throws Deno's errors; Error with what tar said */
export async function writeNodeImage(
  { binary, busybox, output }: NodeImageOptions,
): Promise<void> {
  const work = await Deno.makeTempDir({ prefix: "soci-deno-node-image-" });
  try {
    await layOut(`${work}/root`, binary, busybox);
    const layer = `${work}/layer.tar.gz`;
    await tarball(`${work}/root`, layer, ".", EPOCH);
    await Deno.mkdir(`${work}/layout/blobs/sha256`, { recursive: true });
    const put = async (mediaType: string, bytes: Uint8Array) => {
      const digest = sha256(bytes);
      const name = digest.slice("sha256:".length);
      await Deno.writeFile(`${work}/layout/blobs/sha256/${name}`, bytes);
      return { mediaType, digest, size: bytes.length };
    };
    const putJson = (mediaType: string, value: object) =>
      put(mediaType, new TextEncoder().encode(canonicalJson(value)));
    const packed = await Deno.readFile(layer);
    const diffId = sha256(new Uint8Array(gunzipSync(packed)));
    const layers = [await put(`${OCI}.layer.v1.tar+gzip`, packed)];
    const config = await putJson(`${OCI}.config.v1+json`, {
      architecture: ARCHITECTURE,
      os: "linux",
      created: EPOCH.toISOString(),
      config: { Cmd: ["/bin/sh", "/install.sh"], Env: ["PATH=/bin"] },
      rootfs: { type: "layers", diff_ids: [diffId] },
    });
    const mediaType = `${OCI}.manifest.v1+json`;
    const manifest = await putJson(mediaType, {
      ...{ schemaVersion: 2, mediaType, config, layers },
    });
    const write = (name: string, value: object) =>
      Deno.writeTextFile(`${work}/layout/${name}`, canonicalJson(value));
    await write("oci-layout", { imageLayoutVersion: "1.0.0" });
    await write("index.json", {
      schemaVersion: 2,
      mediaType: `${OCI}.index.v1+json`,
      manifests: [{
        ...manifest,
        platform: { architecture: ARCHITECTURE, os: "linux" },
        annotations: {
          "io.containerd.image.name": `soci-deno-install:${VERSION}`,
          "org.opencontainers.image.ref.name": VERSION,
        },
      }],
    });
    await tarball(`${work}/layout`, `${work}/image.tar.gz`, ".", EPOCH);
    const image = gunzipSync(await Deno.readFile(`${work}/image.tar.gz`));
    await Deno.writeFile(output, image);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

async function layOut(
  root: string,
  binary: string,
  busybox: string,
): Promise<void> {
  for (const folder of ["bin", "payload", "host"]) {
    await Deno.mkdir(`${root}/${folder}`, { recursive: true });
  }
  const put = async (from: string, to: string, mode: number) => {
    await Deno.copyFile(from, `${root}/${to}`);
    await Deno.chmod(`${root}/${to}`, mode);
  };
  await put(busybox, "bin/busybox", 0o755);
  for (const name of APPLETS) {
    await Deno.symlink("busybox", `${root}/bin/${name}`);
  }
  await put(binary, "payload/soci-deno", 0o755);
  for (const name of UNITS) {
    await put(join(ROOT, "packaging", name), `payload/${name}`, 0o644);
  }
  await put(join(ROOT, "deploy/kubernetes/install.sh"), "install.sh", 0o755);
}

if (import.meta.main) {
  const [output = join(ROOT, "dist/soci-deno-install.tar")] = Deno.args;
  await writeNodeImage({
    ...{ output, busybox: "/bin/busybox" },
    binary: join(ROOT, "dist/soci-deno"),
  });
  console.log(output);
}
