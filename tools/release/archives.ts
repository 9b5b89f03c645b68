/** Archives that come out the same, byte for byte, whenever and by whomever they are made. @module */
import { join } from "node:path";

/**
 * Packs what is in a folder, by GNU tar: names in order, root's, of one time, without what the umask left.
 * @param name what stands before every path: `soci-deno-0.1.0`, or `.`
 * @throws Error with what tar said
 */
export async function tarball(
  folder: string,
  output: string,
  name: string,
  time: Date,
): Promise<void> {
  const seconds = Math.floor(time.getTime() / 1000);
  const { success, stderr } = await new Deno.Command("sh", {
    args: [
      ...[
        "-c",
        'set -e; out=$1; shift; tar --file="$out.tar" "$@"; gzip -n <"$out.tar" >"$out"; rm "$out.tar"',
      ],
      ...["sh", output, "--create", "--directory", folder, "--sort=name"],
      ...["--format=gnu", "--owner=0", "--group=0", "--numeric-owner"],
      ...[`--mtime=@${seconds}`, "--mode=u+rwX,go+rX,go-w"],
      ...[`--transform=flags=r;s,^\\.,${name},`, "."],
    ],
    env: { LC_ALL: "C" },
  }).output();
  if (!success) throw new Error(`tar: ${new TextDecoder().decode(stderr)}`);
}

/** Makes a Debian package of a tree and of what its control folder holds. @throws Error */
export async function debianPackage(
  output: string,
  tree: string,
  control: string,
  time: Date,
): Promise<void> {
  const work = await Deno.makeTempDir({ prefix: "soci-deno-deb-" });
  try {
    const parts = ["control.tar.gz", "data.tar.gz"] as const;
    await tarball(control, join(work, parts[0]), ".", time);
    await tarball(tree, join(work, parts[1]), ".", time);
    const members: [string, Uint8Array][] = [
      ["debian-binary", new TextEncoder().encode("2.0\n")],
    ];
    for (const name of parts) {
      members.push([name, await Deno.readFile(join(work, name))]);
    }
    using file = await Deno.open(output, {
      ...{ write: true, create: true, truncate: true },
    });
    const write = async (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.length;) {
        at += await file.write(bytes.subarray(at));
      }
    };
    await write(new TextEncoder().encode("!<arch>\n"));
    for (const [name, bytes] of members) {
      await write(new TextEncoder().encode(headOf(name, bytes.length, time)));
      await write(bytes);
      if (bytes.length % 2 === 1) await write(new TextEncoder().encode("\n"));
    }
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** The head of a member in an ar archive: name, time, owner, group, mode, size. */
function headOf(name: string, size: number, time: Date): string {
  const seconds = Math.floor(time.getTime() / 1000);
  return [
    ...[name.padEnd(16), String(seconds).padEnd(12), "0".padEnd(6)],
    ...["0".padEnd(6), "100644".padEnd(8), String(size).padEnd(10), "`\n"],
  ].join("");
}
