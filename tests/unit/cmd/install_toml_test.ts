import assert from "node:assert/strict";
import {
  oldKeys,
  setKeys,
  type Setting,
  TomlEditError,
  unsetKeys,
} from "../../../cmd/install/toml_edit.ts";

const CRI = ["plugins", "io.containerd.grpc.v1.cri", "containerd"];
const SETTINGS: readonly Setting[] = [
  { table: [], key: "version", value: 2 },
  { table: ["proxy_plugins", "soci"], key: "type", value: "snapshot" },
  { table: CRI, key: "snapshotter", value: "soci" },
  { table: CRI, key: "disable_snapshot_annotations", value: false },
];

/** Sets and takes back. @returns the text between */
function thereAndBack(text: string): string {
  const keys = oldKeys(text, SETTINGS);
  const set = setKeys(text, SETTINGS);
  assert.equal(setKeys(set, SETTINGS), set);
  assert.equal(unsetKeys(set, keys), text);
  return set;
}

Deno.test("keys are set where their table is, and all else stays byte for byte", () => {
  const text = `version = 2 # of the file

[plugins]
  # Debian's
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "pause:1"
    [plugins . 'io.containerd.grpc.v1.cri' . containerd] # here
      snapshotter="overlayfs"
      odd = [
        ["a"],
      ]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
`;
  const keys = oldKeys(text, SETTINGS);
  const set = setKeys(text, SETTINGS);
  assert.equal(
    set,
    text.replace('snapshotter="overlayfs"', 'snapshotter = "soci"').replace(
      "# here\n",
      "# here\n      disable_snapshot_annotations = false\n",
    ) + '\n[proxy_plugins.soci]\n  type = "snapshot"\n',
  );
  assert.equal(
    unsetKeys(set, keys),
    text.replace('snapshotter="overlayfs"', 'snapshotter = "overlayfs"'),
  );
});

Deno.test("a file without the tables gets them at its end, and loses them again", () => {
  const set = thereAndBack('root = "/data"\n');
  assert.match(set, /^version = 2\nroot = /);
  assert.match(set, /\n\[proxy_plugins\.soci\]\n {2}type = "snapshot"\n/);
});

Deno.test("what people changed meanwhile stays when the keys are taken out", () => {
  const text = "version = 2\n";
  const keys = oldKeys(text, SETTINGS);
  const changed = setKeys(text, SETTINGS)
    .replace('snapshotter = "soci"', 'snapshotter = "nydus"')
    .replace(
      "[proxy_plugins.soci]",
      "[metrics]\n  a = 1\n[proxy_plugins.soci]",
    );
  assert.equal(
    unsetKeys(changed, keys),
    `version = 2

[metrics]
  a = 1

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "nydus"
`,
  );
});

Deno.test("a file that is written in another way is refused, not damaged", () => {
  const files = [
    'plugins = { "io.containerd.grpc.v1.cri" = { containerd = { x = 1 } } }\n',
    `x = """
[plugins."io.containerd.grpc.v1.cri".containerd]
"""
`,
    `x = [
  ["proxy_plugins"],
[ "plugins" ]
]
proxy_plugins.soci.x = 1
`,
    "version = \n",
  ];
  for (const text of files) {
    assert.throws(() => setKeys(text, SETTINGS), TomlEditError, text);
  }
});
