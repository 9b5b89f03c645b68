import assert from "node:assert/strict";
import { VERSION } from "../../../cmd/version.ts";
import { bundle } from "../../../tools/binary/bundle.ts";
import { writeArchives, writeSums } from "../../../tools/release/mod.ts";
import { DEBIAN_ARCHITECTURES } from "../../../tools/release/debian.ts";
import { tryPackage } from "../../support/debian_tree.ts";
import { run } from "../../support/host/mod.ts";

/** Runs a program of a tree by the Deno that runs this. */
function start(program: string, ...args: string[]) {
  return run(program, args, { env: { DENO: Deno.execPath() } });
}

Deno.test("a release: a tarball that runs, a Debian package, checksums and an SBOM that fit, the same bytes each time", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-release-test-" });
  try {
    const made = await bundle(`${folder}/bundle`);
    // In the binary's place: what runs the bundle, wherever it lies.
    await Deno.writeTextFile(
      `${folder}/program`,
      `#!/bin/sh
case \${0##*/} in soci | soci-snapshotter-grpc) set -- "\${0##*/}" "$@" ;; esac
export DENO='${Deno.execPath()}' DENO_DIR='${folder}/deno'
exec ${folder}/bundle/soci-deno "$@"
`,
    );
    const binary = {
      architecture: Deno.build.arch,
      path: `${folder}/program`,
      deno: "1.2.3",
    } as const;
    const names: string[] = [];
    for (const out of ["one", "two"]) {
      await Deno.mkdir(`${folder}/${out}`);
      names.splice(0);
      for (const each of [null, binary]) {
        names.push(...await writeArchives(`${folder}/${out}`, made, each));
      }
      await writeSums(`${folder}/${out}`, names);
    }
    const sums = await Deno.readTextFile(`${folder}/one/SHA256SUMS`);
    assert.equal(sums, await Deno.readTextFile(`${folder}/two/SHA256SUMS`));
    assert.equal(sums.trim().split("\n").length, 5);
    await run("sha256sum", ["--check", "--strict", "SHA256SUMS"], {
      cwd: `${folder}/one`,
    });

    await t.step("the bundle's tarball", async () => {
      const tree = `${folder}/local`;
      await Deno.mkdir(tree);
      await run("tar", [
        ...["xzf", `${folder}/one/soci-deno-${VERSION}-bundle.tar.gz`],
        ...["-C", tree, "--strip-components=1"],
      ]);
      const { stdout } = await start(`${tree}/bin/soci-deno`, "--version");
      assert.equal(stdout.trim(), `soci-deno ${made.version}`);
      const soci = await start(`${tree}/bin/soci`, "--version");
      assert.match(soci.stdout, /^soci version v/);
      const daemon = await start(
        `${tree}/bin/soci-snapshotter-grpc`,
        "--version",
      );
      assert.match(daemon.stdout, /^soci-snapshotter-grpc version v/);
      const { stdout: script } = await start(
        ...[`${tree}/bin/soci-deno`, "completion", "bash"] as const,
      );
      assert.equal(
        script,
        await Deno.readTextFile(
          `${tree}/share/bash-completion/completions/soci-deno`,
        ),
      );
      for (
        const path of [
          "share/man/man1/soci-deno-serve.1",
          "share/doc/soci-deno/licences.txt",
          "etc/soci-snapshotter-grpc/config.toml",
        ]
      ) assert.ok((await Deno.stat(`${tree}/${path}`)).isFile, path);
    });

    await t.step("the Debian package", async () => {
      const architecture = DEBIAN_ARCHITECTURES[Deno.build.arch];
      const deb = `${folder}/one/soci-deno_${VERSION}_${architecture}.deb`;
      const { stdout: control } = await run("dpkg-deb", ["--field", deb]);
      assert.match(control, new RegExp(`^Version: ${VERSION}$`, "m"));
      assert.match(control, new RegExp(`^Architecture: ${architecture}$`, "m"));
      const tree = `${folder}/deb`;
      await run("dpkg-deb", ["--extract", deb, tree]);
      await run("dpkg-deb", ["--control", deb, `${folder}/control`]);
      for (const script of ["postinst", "prerm", "postrm"]) {
        await run("sh", ["-n", `${folder}/control/${script}`]);
      }
      const ran = await run(`${tree}/usr/bin/soci`, ["--version"]);
      assert.match(ran.stdout, /^soci version v/);
      assert.match(
        await Deno.readTextFile(
          `${tree}/usr/lib/systemd/system/soci-snapshotter.service`,
        ),
        /^ExecStart=\/usr\/bin\/soci-deno serve/m,
      );
    });

    await t.step(
      "the package in a tree of Debian: installed, used, removed, purged",
      () => tryInDebian(folder, made.version),
    );

    await t.step("the SBOM", async () => {
      const read = async (name: string) =>
        JSON.parse(
          await Deno.readTextFile(
            `${folder}/one/soci-deno-${VERSION}-${name}.cdx.json`,
          ),
        );
      const ours = await read("bundle");
      const names = ours.components.map((
        { group, name, version }: Record<string, string>,
      ) => `${group === undefined ? "" : `${group}/`}${name} ${version}`);
      const licences = await Deno.readTextFile(`${made.folder}/licences.txt`);
      const inside = [...licences.matchAll(/^={70,}\n\n(\S+ \S+) \(/gm)]
        .map(([, one]) => one);
      assert.deepEqual(names, inside);
      for (const { hashes, "bom-ref": ref } of ours.components) {
        assert.match(hashes[0].content, /^[0-9a-f]{128}$/, ref);
      }
      const whole = await read(`linux-${Deno.build.arch}`);
      assert.equal(whole.components.at(-1).name, "deno");
      assert.notEqual(whole.serialNumber, ours.serialNumber);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** What the commands do that are run while the package is there. */
const USE = `set -e
soci-deno --version
soci --version
soci-snapshotter-grpc --version
soci-deno install --yes --program /usr/bin/soci-deno >/dev/null
containerd --config /etc/containerd/config.toml config dump | grep -A2 proxy_plugins.soci
[ -e /etc/systemd/system/soci-snapshotter.service ] || echo no further unit`;

/** Installs the package of this machine's architecture beside this machine's containerd. */
async function tryInDebian(folder: string, version: string) {
  const architecture = DEBIAN_ARCHITECTURES[Deno.build.arch];
  const tree = `${folder}/debian`;
  await Deno.mkdir(tree);
  const { installed, used, removed, purged, stdout } = await tryPackage(
    tree,
    {
      deb: `${folder}/one/soci-deno_${VERSION}_${architecture}.deb`,
      commands: USE,
      shown: folder,
    },
  );
  const config = "/etc/soci-snapshotter-grpc/config.toml";
  const units = "/usr/lib/systemd/system/soci-snapshotter";
  const share = "/usr/share";
  for (
    const [path, kind] of [
      ["/usr/bin/soci-deno", "f"],
      ["/usr/bin/soci", "l soci-deno"],
      ["/usr/bin/soci-snapshotter-grpc", "l soci-deno"],
      ...[`${units}.service`, `${units}.socket`, config].map((path) =>
        [path, "f"] as const
      ),
      [`${share}/bash-completion/completions/soci-deno`, "f"],
      [`${share}/zsh/site-functions/_soci-deno`, "f"],
      [`${share}/fish/vendor_completions.d/soci-deno.fish`, "f"],
      [`${share}/man/man1/soci-deno.1`, "f"],
      [`${share}/man/man1/soci-deno-serve.1`, "f"],
      [`${share}/doc/soci-deno/licences.txt`, "f"],
    ] as const
  ) assert.equal(installed.get(path), kind, path);
  assert.match(
    stdout,
    new RegExp(`^soci-deno ${RegExp.escape(version)}$`, "m"),
  );
  assert.match(stdout, /^soci version v/m);
  assert.match(stdout, /^soci-snapshotter-grpc version v/m);
  assert.match(stdout, /proxy_plugins\.soci\]/);
  // The package's units are enough.
  assert.match(stdout, /^no further unit$/m);
  assert.deepEqual(
    [...used.keys()].filter((path) => !installed.has(path)).sort(),
    ["/etc/containerd/config.toml", "/var/lib/soci-deno/install.json"],
  );
  // As dpkg has it: configuration goes with a purge.
  assert.deepEqual([...removed], [[config, "f"]]);
  assert.deepEqual([...purged], []);
}
