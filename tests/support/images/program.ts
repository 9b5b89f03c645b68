import { HostFiles, librariesOf } from "./host_files.ts";
import { type Image, makeImage } from "./image.ts";
import { layerBlob, type LayerPacking } from "./layer.ts";
import { addBusybox } from "./pause.ts";
import { compressible, incompressible } from "./random.ts";
import { TarBuilder } from "./tar_builder.ts";

const MiB = 2 ** 20;
/** Parts of the standard library that only developers of Python need. */
const LEFT_OUT = /\/(config-[^/]*|test|tests|idlelib|lib2to3|ensurepip)$/;
/** `/app/main.py` of the image. */
export const SCRIPT = `import json, sys
print(json.dumps({"sum": sum(range(101)), "version": sys.version_info[0]}))
`;

/**
 * An image of programs of this machine, like an ordinary application: busybox and Debian's (or
 * Ubuntu's) Python with its libraries and standard library. It has four layers, together 40 to 80
 * MB unpacked. It runs `/app/main.py`, which prints one line of JSON. `/app/data` is 16 MiB that it
 * does not read.
 */
export function programImage(
  options: { compression?: LayerPacking; mediaTypes?: "oci" | "docker" } = {},
): Image {
  const { compression = "gzip", mediaTypes = "oci" } = options;
  const python = Deno.realPathSync("/usr/bin/python3");
  const library = `/usr/lib/${python.slice(python.lastIndexOf("/") + 1)}`;
  const extensions = [...Deno.readDirSync(`${library}/lib-dynload`)]
    .map(({ name }) => `${library}/lib-dynload/${name}`)
    .filter((path) => path.endsWith(".so"));
  const files = new HostFiles();

  const system = addBusybox(new TarBuilder())
    .dir("etc").file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    .dir("tmp", { mode: 0o1777 }).dir("proc").dir("sys").dir("dev")
    .symlink("lib", "usr/lib").symlink("lib64", "usr/lib64");

  const libraries = new TarBuilder();
  for (const path of librariesOf([python, ...extensions])) {
    files.library(libraries, path);
  }

  const interpreter = new TarBuilder();
  files.file(interpreter, python);
  interpreter.symlink("usr/bin/python3", python);
  files.tree(interpreter, library, (path) => !LEFT_OUT.test(path));

  const application = new TarBuilder()
    .dir("app").file("app/main.py", SCRIPT)
    .file("app/data/random", incompressible(8 * MiB))
    .file("app/data/text", compressible(8 * MiB));

  return makeImage({
    layers: [system, libraries, interpreter, application]
      .map((tar) => layerBlob(tar, { compression })),
    config: {
      env: ["PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"],
      cmd: ["/usr/bin/python3", "/app/main.py"],
      workingDir: "/app",
    },
    mediaTypes,
  });
}
