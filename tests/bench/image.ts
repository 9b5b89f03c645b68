/**
 * A real image of more than 100 MB for the benchmarks: Python with its library, packages and system
 * libraries of this machine, and a program that imports several modules and prints one line.
 * @module
 */
import { sha256 } from "../../lib/formats/oci/mod.ts";
import {
  type Image,
  incompressible,
  type LayerBlob,
  layerBlob,
  makeImage,
  programImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { cacheFolder, exists, run, someFiles } from "./support.ts";

/** Compressed bytes of the image at least. */
const LEAST_BYTES = 110e6;
const LIBRARY_BYTES = 350 * 2 ** 20;
const SHARE_BYTES = 100 * 2 ** 20;
const PACKAGES = "/usr/lib/python3/dist-packages";

const MODULES = [
  ...["asyncio", "csv", "ctypes", "decimal", "email.message", "hashlib"],
  ...["http.client", "json", "logging.config", "lzma", "multiprocessing"],
  ...["sqlite3", "ssl", "tarfile", "unittest", "urllib.request"],
  ...["xml.etree.ElementTree", "zipfile"],
];
/** Taken when Debian's packages of them are here. */
const MORE_MODULES = [
  ...["pygments", "pygments.lexers", "yaml", "docutils", "setuptools"],
  ...["pip", "oauthlib", "httplib2", "jwt", "cryptography.x509"],
];

/** The benchmark image; its layers are kept on disk between runs. */
export async function benchImage(): Promise<Image> {
  const folder = `${cacheFolder()}/image`;
  await Deno.mkdir(folder, { recursive: true });
  const modules = [...MODULES, ...await importable(MORE_MODULES)];
  const script = `import importlib, sys
for name in ${JSON.stringify(modules)}:
    importlib.import_module(name)
print(f"ready {len(sys.modules)}", flush=True)
`;
  const base = programImage().layers.slice(0, 3);
  const libraries = await hostLayer(
    `${folder}/libraries`,
    someFiles("/usr/lib/x86_64-linux-gnu", LIBRARY_BYTES),
  );
  const packages = await hostLayer(
    `${folder}/packages`,
    exists(PACKAGES)
      ? someFiles(PACKAGES, Infinity).filter((path) => !path.endsWith(".pth"))
      : [],
  );
  const share = await hostLayer(
    `${folder}/share`,
    someFiles("/usr/share", SHARE_BYTES),
  );
  const layers = [...base, libraries, packages, share];
  const bytes = layers.reduce((sum, layer) => sum + layer.bytes.length, 0);
  const application = new TarBuilder().dir("app").file("app/main.py", script);
  if (bytes < LEAST_BYTES) { // a machine with little on it
    application.file("app/data", incompressible(LEAST_BYTES - bytes));
  }
  return makeImage({
    layers: [...layers, layerBlob(application)],
    config: {
      env: ["PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"],
      cmd: ["/usr/bin/python3", "/app/main.py"],
      workingDir: "/app",
    },
  });
}

async function importable(names: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const name of names) {
    const { success } = await new Deno.Command("/usr/bin/python3", {
      args: ["-I", "-c", `import ${name}`],
      stdout: "null",
      stderr: "null",
    }).output();
    if (success) found.push(name);
  }
  return found;
}

/** Files of this machine as a layer, kept at `path`. */
export async function hostLayer(
  path: string,
  files: readonly string[],
): Promise<LayerBlob> {
  await Deno.writeTextFile(`${path}.list`, files.join("\n"));
  return await packed(
    path,
    "-P",
    "--transform",
    "s,^/,,",
    "-T",
    `${path}.list`,
  );
}

/** A folder and all that lies in it as a layer, kept at `path`. */
export function treeLayer(path: string, root: string): Promise<LayerBlob> {
  return packed(path, "-C", root, "--sort=name", ".");
}

/** Packed by tar and gzip, as image builders do. */
async function packed(path: string, ...tarArgs: string[]): Promise<LayerBlob> {
  const blob = `${path}.tar.gz`;
  if (!exists(blob)) {
    console.log(`making ${blob} (kept for later runs)`);
    await run("sh", [
      "-ec",
      'path="$1"; shift; tar -cf "$path.tar" "$@"; ' +
      'gzip -6 -c "$path.tar" > "$path.part"; ' +
      'sha256sum < "$path.tar" > "$path.sum"; ' +
      'wc -c < "$path.tar" > "$path.size"; rm "$path.tar"; ' +
      'mv "$path.part" "$path.tar.gz"',
      ...["sh", path, ...tarArgs],
    ]);
  }
  const bytes = await Deno.readFile(blob);
  const diffId = Deno.readTextFileSync(`${path}.sum`).slice(0, 64);
  return {
    bytes,
    digest: sha256(bytes),
    diffId: `sha256:${diffId}` as LayerBlob["diffId"],
    tarSize: Number(Deno.readTextFileSync(`${path}.size`)),
    packing: "gzip",
  };
}
