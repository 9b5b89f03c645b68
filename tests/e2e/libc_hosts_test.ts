/** Hosts that keep glibc where Debian does not, and hosts without it, made of a mount namespace. */
import assert from "node:assert/strict";
import { sociDenoCommand, tryRun } from "../support/host/mod.ts";

const DEBIAN_FOLDER = `/usr/lib/${
  Deno.build.arch === "aarch64" ? "aarch64" : "x86_64"
}-linux-gnu`;

/** What the engine itself is linked to. */
const LIBRARIES = [
  ...["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0"],
  ...["libgcc_s.so.1", "librt.so.1"],
];

/**
 * Runs `umount`, which cannot be loaded without libc, where Debian's folder of libraries is empty.
 * @param lib64 what else the host's `/lib64` holds beside the loader.
 */
async function umountWhere(lib64: readonly string[]) {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-libc-" });
  try {
    for (const name of ["lib64", "linked", "empty"]) {
      await Deno.mkdir(`${folder}/${name}`);
    }
    for (const { name } of Deno.readDirSync("/usr/lib64")) {
      await Deno.copyFile(`/usr/lib64/${name}`, `${folder}/lib64/${name}`);
    }
    for (const name of LIBRARIES) {
      await Deno.copyFile(
        `${DEBIAN_FOLDER}/${name}`,
        `${folder}/linked/${name}`,
      );
    }
    for (const name of lib64) {
      await Deno.copyFile(
        `${DEBIAN_FOLDER}/${name}`,
        `${folder}/lib64/${name}`,
      );
    }
    const { program, args } = sociDenoCommand("umount", `${folder}/nothing`);
    return await tryRun("unshare", [
      ...["--mount", "sh", "-c"],
      'mount --bind "$0/lib64" /usr/lib64 && mount --bind "$0/empty" "$1" && shift && LD_LIBRARY_PATH="$0/linked" exec "$@"',
      ...[folder, DEBIAN_FOLDER, program, ...args],
    ], { timeoutMs: 60_000 });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("glibc is found in /lib64, and where there is none one line says so", async (t) => {
  await t.step("in /lib64", async () => {
    const { code, stderr } = await umountWhere(["libc.so.6"]);
    assert.equal(code, 1);
    assert.match(stderr, /^soci-deno umount: .*\/nothing'?$/m);
  });
  await t.step("nowhere", async () => {
    const { code, stderr } = await umountWhere([]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^soci-deno umount: there is no glibc at .* not with musl.*\n$/,
    );
  });
});
