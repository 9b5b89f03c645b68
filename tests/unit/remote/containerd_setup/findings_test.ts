import assert from "node:assert/strict";
import {
  checkSetup,
  ContainerdConfigError,
  parseContainerdConfig,
  readContainerdConfig,
} from "../../../../lib/remote/containerd_setup/mod.ts";
import { ROOT } from "../../../../tools/house/mod.ts";

const SOCKET = "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock";
const EXPECTED = {
  snapshotter: "soci",
  socket: SOCKET,
  root: "/var/lib/soci-snapshotter-grpc",
  cri: true,
};

/** The fragments that the docs print, by their headings. */
function fragments(page: string): string[] {
  const text = Deno.readTextFileSync(new URL(page, ROOT));
  return [...text.matchAll(/```toml\n([\s\S]*?)```/g)].map(([, toml]) => toml!)
    .filter((toml) => toml.includes("[proxy_plugins.soci]"));
}

function check(text: string, release: string | null, more = {}) {
  return checkSetup(parseContainerdConfig("config.toml", text), {
    ...EXPECTED,
    release,
    ...more,
  });
}

const [OLD = "", NEW = ""] = fragments("docs/containerd.md");

Deno.test("what the docs print for a release has no fault in that release", () => {
  assert.deepEqual(check(OLD, "1.6.20~ds1"), []);
  const [readme = ""] = fragments("README.md").length > 0
    ? fragments("README.md")
    : [OLD];
  assert.deepEqual(
    check(readme, "1.6.20").filter(({ level }) => level === "fail"),
    [],
  );
  assert.deepEqual(
    check(OLD, "v1.7.24").filter(({ level }) => level === "fail"),
    [],
  );
  assert.deepEqual(check(NEW, "2.1.9"), []);
  assert.deepEqual(check(NEW, null), []);
});

const MISTAKES: readonly (readonly [
  what: string,
  release: string,
  text: string,
  found: RegExp,
  fix: RegExp,
])[] = [
  [
    "no version line in 1.x",
    "1.7.24",
    OLD.replace("version = 2\n", ""),
    /no `version = 2`/,
    /`version = 2` on the first line/,
  ],
  [
    "version 3 in 1.x",
    "1.7.24",
    OLD.replace("version = 2", "version = 3"),
    /reads 2 at the most/,
    /version = 2/,
  ],
  [
    "plugin names of 1.x in 2.x",
    "2.1.9",
    OLD.replace("version = 2", "version = 3"),
    /io\.containerd\.grpc\.v1\.cri.*no effect/,
    /io\.containerd\.cri\.v1\.images/,
  ],
  [
    "plugin names of 2.x in 1.x",
    "1.6.20",
    NEW.replace("version = 3", "version = 2"),
    /io\.containerd\.cri\.v1\.images.*no effect/,
    /io\.containerd\.grpc\.v1\.cri/,
  ],
  [
    "annotations are not passed in 1.x",
    "1.7.24",
    OLD.replace(/^.*disable_snapshot_annotations.*$/m, ""),
    /which image a layer belongs to/,
    /disable_snapshot_annotations = false/,
  ],
  [
    "annotations are not passed in 2.x",
    "2.1.9",
    NEW.replace(/^.*enable_remote_snapshot_annotations.*$/m, ""),
    /which image a layer belongs to/,
    /enable_remote_snapshot_annotations = "true"/,
  ],
  [
    "no proxy plugin",
    "1.7.24",
    OLD.replace("[proxy_plugins.soci]", "[proxy_plugins.stargz]"),
    /has no \[proxy_plugins\.soci\]/,
    /add \[proxy_plugins\.soci\]/,
  ],
  [
    "another socket",
    "1.7.24",
    OLD.replace(SOCKET, "/run/soci.sock"),
    /names the socket "\/run\/soci\.sock"/,
    /address = "\/run\/soci-snapshotter-grpc/,
  ],
  [
    "another type of proxy",
    "1.7.24",
    OLD.replace('"snapshot"', '"content"'),
    /not of type "snapshot"/,
    /type = "snapshot"/,
  ],
  [
    "no exports.root in 2.x",
    "2.1.9",
    NEW.replace(/^ *root = .*$/m, ""),
    /no exports\.root/,
    /root = "\/var\/lib\/soci-snapshotter-grpc"/,
  ],
  [
    "another root in 2.x",
    "2.1.9",
    NEW.replace(/^ *root = .*$/m, 'root = "/elsewhere"'),
    /exports\.root .*\/elsewhere/,
    /root = "/,
  ],
  [
    "no unpack_config in 2.x",
    "2.1.9",
    NEW.replace(/^\[\[plugins[\s\S]*$/m, ""),
    /no unpack_config/,
    /unpack_config\]\] with platform = "linux/,
  ],
  [
    "overlayfs for CRI",
    "2.1.9",
    NEW.replace(/^ {2}snapshotter = "soci"$/m, '  snapshotter = "overlayfs"'),
    /names the snapshotter "overlayfs"/,
    /snapshotter = "soci"/,
  ],
];

for (const [what, release, text, found, fix] of MISTAKES) {
  Deno.test(`found, with what to do: ${what} (containerd ${release})`, () => {
    const findings = check(text, release);
    const one = findings.find((finding) => found.test(finding.text));
    assert.ok(one !== undefined, JSON.stringify(findings));
    assert.equal(one.level, "fail");
    assert.match(one.fix, fix);
    for (const { text, fix } of findings) {
      assert.ok(!/\n/.test(text + fix), "one line");
    }
  });
}

Deno.test("the old format with its own names is right in 1.x; what only Kubernetes needs can be left out", () => {
  const text = `[proxy_plugins.soci]
type = "snapshot"
address = "unix://${SOCKET}"
`;
  assert.deepEqual(check(`version = 2\n${text}`, "1.6.20", { cri: false }), []);
  assert.ok(check(`version = 2\n${text}`, "1.6.20").length > 0);
});

Deno.test("files that are imported count, and one that cannot be read is named", () => {
  const folder = Deno.makeTempDirSync({ prefix: "soci-deno-setup-" });
  try {
    Deno.mkdirSync(`${folder}/conf.d`);
    const path = `${folder}/config.toml`;
    Deno.writeTextFileSync(path, 'version = 2\nimports = ["conf.d/*.toml"]\n');
    Deno.writeTextFileSync(`${folder}/conf.d/soci.toml`, OLD);
    Deno.writeTextFileSync(`${folder}/conf.d/other.txt`, "no TOML at all [");
    assert.deepEqual(
      checkSetup(readContainerdConfig(path)!, {
        ...EXPECTED,
        release: "1.6.20",
      }),
      [],
    );
    Deno.writeTextFileSync(`${folder}/conf.d/bad.toml`, "[");
    assert.throws(
      () => readContainerdConfig(path),
      (error) =>
        error instanceof ContainerdConfigError &&
        error.message.includes("bad.toml"),
    );
    assert.equal(readContainerdConfig(`${folder}/none.toml`), null);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
