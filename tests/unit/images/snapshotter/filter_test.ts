import assert from "node:assert/strict";
import { type SnapshotInfo } from "../../../../lib/images/snapshotter/mod.ts";
import { parseFilters } from "../../../../lib/images/snapshotter/filter.ts";
import { isKind } from "./support.ts";

const INFO: SnapshotInfo = {
  name: "k8s.io/1/sha256:aa",
  parent: "",
  kind: "committed",
  labels: {
    plain: "x",
    "containerd.io/snapshot.ref": "sha256:aa",
    "with.dots": "y",
    "odd": 'a,"b',
  },
  createdAt: { ms: 0, ns: 0 },
  updatedAt: { ms: 0, ns: 0 },
};

const passes = (...filters: string[]) => parseFilters(filters)(INFO);

Deno.test("a filter compares fields and labels, quoted or not", () => {
  assert.ok(passes("kind==committed"));
  assert.ok(!passes("kind==active"));
  assert.ok(passes('name=="k8s.io/1/sha256:aa"'));
  assert.ok(passes("name==k8s.io/1/sha256:aa"));
  assert.ok(passes('labels."containerd.io/snapshot.ref"==sha256:aa'));
  assert.ok(passes('labels."containerd.io/snapshot.ref" == "sha256:aa"'));
  assert.ok(passes("labels.with.dots==y"));
  assert.ok(passes(String.raw`labels.odd=="a,\"b"`));
  assert.ok(passes(String.raw`labels.plain=="\x78"`));
});

Deno.test("an empty parent is compared like any other: containerd looks for base layers so", () => {
  assert.ok(
    passes('labels."containerd.io/snapshot.ref"==sha256:aa,parent==""'),
  );
  assert.ok(!passes('parent=="p"'));
});

Deno.test("a comma means and, several filters mean or, none means all", () => {
  assert.ok(passes("kind==committed,labels.plain==x"));
  assert.ok(!passes("kind==committed,labels.plain==z"));
  assert.ok(passes("kind==active", "labels.plain==x"));
  assert.ok(!passes("kind==active", "kind==view"));
  assert.ok(passes());
  assert.ok(passes(""));
});

Deno.test("a path alone asks whether it is there; != holds for what is not", () => {
  assert.ok(passes("labels.plain"));
  assert.ok(!passes("labels.absent"));
  assert.ok(passes("labels.absent!=x"));
  assert.ok(!passes("labels.plain!=x"));
  assert.ok(!passes("unknown==x"));
});

Deno.test("~= matches a regular expression anywhere in the value", () => {
  assert.ok(passes("name~=sha256:a+$"));
  assert.ok(passes("name~=|^k8s\\.io/1|"));
  assert.ok(passes("labels.odd~=|a,|"));
  assert.ok(!passes('name~="^sha256"'));
  assert.ok(!passes("labels.absent~=."));
});

Deno.test("a filter that cannot be read is refused with the place", () => {
  for (
    const filter of [
      "name==",
      "==x",
      "name=x",
      "name==a b",
      'name=="open',
      "kind==active,",
      'name~="("',
      String.raw`name=="\q"`,
    ]
  ) {
    assert.throws(() => parseFilters([filter]), isKind("invalid-argument"));
  }
});
