import assert from "node:assert/strict";
import { grantsOf, type Line } from "../../../cmd/grants.ts";
import { readLine, SHORT_VALUE_FLAGS, VALUE_FLAGS } from "../../../cmd/line.ts";
import { COMMANDS, SOCI_COMMANDS } from "../../../cmd/mod.ts";
import { PERMISSIONS } from "../../../cmd/permissions.ts";
import { DOCKER, namedHosts } from "../../../cmd/registry_needs.ts";
import { MAIN_WORKLOAD, recordingFile } from "../../../cmd/recording_file.ts";
import { DEFAULT_WORKLOAD } from "../../../lib/formats/order/mod.ts";
import { elsewhere } from "../../../lib/host/control/mod.ts";
import { parseReference } from "../../../lib/remote/registry/mod.ts";
import { readModules, ROOT } from "../../../tools/house/mod.ts";
import {
  configWithSets,
  pageWithTable,
  permissionSets,
} from "../../../tools/permissions.ts";

const path = (name: string) => new URL(name, ROOT).pathname;

Deno.test("the sets of deno.json and the list in the docs are those of the table", async () => {
  const config = await Deno.readTextFile(path("deno.json"));
  assert.deepEqual(
    JSON.parse(config).permissions,
    JSON.parse(configWithSets(config)).permissions,
    "run `deno task permissions`",
  );
  const page = await Deno.readTextFile(path("docs/security.md"));
  assert.ok(page === await pageWithTable(page), "run `deno task permissions`");
});

Deno.test("every command has its permissions in the table, and the table names no other", () => {
  const named = [...COMMANDS, ...SOCI_COMMANDS].flatMap((entry) =>
    "commands" in entry
      ? entry.commands.map(({ name }) => `${entry.name} ${name}`)
      : [entry.name]
  );
  assert.deepEqual(
    Object.keys(PERMISSIONS).sort(),
    [...new Set(named)].sort(),
  );
});

Deno.test("the table reads flags as the commands do: all that take a value are known, with their short forms", async () => {
  const modules = readModules(ROOT, ["cmd"]).map((module) => module.path);
  const found = new Map<string, string | undefined>();
  const switches = new Set<string>();
  for (const module of modules) {
    const text = await Deno.readTextFile(path(module));
    const flags =
      /"?([a-z][a-z-]*)"?: \{\s*type: "(string|boolean)"(?:,\s*short: "(.)")?/g;
    for (const [, name, type, short] of text.matchAll(flags)) {
      if (type === "boolean") switches.add(name!);
      else found.set(name!, found.get(name!) ?? short);
    }
  }
  const shorts = Object.keys(SHORT_VALUE_FLAGS);
  assert.deepEqual(
    [...found.keys()].sort(),
    [...VALUE_FLAGS, ...shorts].sort(),
  );
  for (const [name, short] of found) {
    assert.equal(SHORT_VALUE_FLAGS[name], short, name);
    assert.ok(
      !switches.has(name),
      `--${name} takes a value here and not there`,
    );
  }
});

/** The lists of a command line, with a home and a root that nobody has. */
function lists(words: string, ...args: string[]) {
  const line: Line = {
    ...readLine(args),
    env: (name) => name === "HOME" ? "/no/home" : undefined,
    root: () => "/no/root",
    draftSuffix: ".x.part",
  };
  return grantsOf(PERMISSIONS[words]!.parts, line);
}

Deno.test("a conversion of files may read the one and write the other, and has no network and no program", () => {
  const args = ["--standalone", "--span-size", "4MiB", "in.tar", "out/"];
  const { env: _, ...rest } = lists("convert", ...args);
  const drafts = ["out", "out.x.part", "out.x.part.old"];
  assert.deepEqual(rest, { read: ["in.tar", ...drafts], write: drafts });
});

Deno.test("an inspection may read Docker's file and its own certificates, ask its registry, and has no program", () => {
  const { env: _, ...rest } = lists(
    ...["inspect", "--tlscacert=/no/ca.pem", "-u", "me"] as const,
    "r.example/a:1",
  );
  assert.deepEqual(rest, {
    read: [
      ...["/no/home/.docker/config.json", "/no/ca.pem"],
      ...["/etc/containerd/certs.d", "/etc/docker/certs.d"],
    ],
    net: ["r.example:80", "r.example:443"],
  });
});

Deno.test("a recording may write its file, run ctr, connect to containerd, the daemon and what says that it is ready, and no more", () => {
  const { env: _, ffi: __, read: ___, ...rest } = lists(
    ...["record", "-a", "/no/containerd", "--until-port", "6379"] as const,
    ...["--until-http", "https://r.example/ready", "--workload", "web"],
    ...["r.example/team/app:1", "--", "sh"],
  );
  assert.deepEqual(rest, {
    write: [
      ...["/no/containerd", "/no/root/control.sock"],
      ...[elsewhere("/no/root/control.sock"), "app-1-web.recording.json"],
    ],
    net: [
      ...["unix:/no/containerd", "unix:/no/root/control.sock"],
      `unix:${elsewhere("/no/root/control.sock")}`,
      ...["127.0.0.1:6379", "r.example:443", "r.example:80"],
    ],
    run: ["ctr"],
  });
  assert.deepEqual(hosts("record", "r.example/a:1", "--", "sh").images, [
    "r.example/a:1",
  ]);
});

Deno.test("a recording's file is known from the image as it is typed", () => {
  assert.equal(MAIN_WORKLOAD, DEFAULT_WORKLOAD);
  for (
    const [image, file] of [
      ["redis", "redis-latest-w.recording.json"],
      ["localhost:5000", "localhost-5000-w.recording.json"],
      ["r.example:5000/a/b:1", "b-1-w.recording.json"],
      [`r.example/b@sha256:${"0".repeat(64)}`, "b-w.recording.json"],
      [`r.example/b:2@sha256:${"0".repeat(64)}`, "b-2-w.recording.json"],
    ] as const
  ) {
    assert.equal(recordingFile(image, "w"), file);
    const { repository, tag } = parseReference(image);
    const name = repository.slice(repository.lastIndexOf("/") + 1);
    assert.ok(file.startsWith([name, tag, "w"].filter(Boolean).join("-")));
  }
});

/** What the fetch Worker of a command line is told. */
const hosts = (words: string, ...args: string[]) =>
  namedHosts(PERMISSIONS[words]!.asks, readLine(args));

Deno.test("the fetch Worker is told the images of the command line, and the places that a hosts.toml names", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(`${folder}/r.example`);
  await Deno.writeTextFile(
    `${folder}/r.example/hosts.toml`,
    `server = "https://s.example"
ca = "ca.pem"
[host."https://m.example/v2"]
  capabilities = ["pull"]
[host.'http://n.example:5000']
[host.cache]
`,
  );
  const recording = `${folder}/recording.json`;
  await Deno.writeTextFile(
    recording,
    `{"image":"q.example/a:1","loadOrderRecording":1}`,
  );
  assert.deepEqual(hosts("inspect", `--hosts-dir=${folder}`, "r.example/a"), {
    images: ["r.example/a"],
    places: [
      ...["https://s.example", "https://m.example/v2"],
      ...["http://n.example:5000", "cache"],
    ],
  });
  assert.deepEqual(hosts("order push", "r.example/a", "x.json").images, [
    "r.example/a",
  ]);
  assert.deepEqual(hosts("order show", recording).images, ["q.example/a:1"]);
  assert.deepEqual(
    hosts("order show", "--image", "r.example/a", recording).images,
    ["r.example/a"],
  );
  await Deno.remove(folder, { recursive: true });
});

Deno.test("only commands with a fetch Worker name hosts, and each of them has no network but these", () => {
  for (const [words, needs] of Object.entries(PERMISSIONS)) {
    const fetches = needs.threads?.includes("fetcher") ?? false;
    assert.equal(fetches, needs.asks !== undefined, words);
    const login = needs.parts.some(({ read }) => read === DOCKER);
    // `serve` and `mount` ask themselves.
    if (needs.near === undefined) assert.equal(login, fetches, words);
    if (!fetches) continue;
    const { net = [] } = lists(words, "r.example/a:1");
    assert.notEqual(net, true, words);
    for (const one of net as string[]) {
      assert.match(one, /^(?:unix:|r\.example:(?:80|443)$)/, words);
    }
  }
});

Deno.test("the index tools may connect to containerd alone", () => {
  const { net, run, ffi } = lists("index list", "-a", "unix:///no/socket");
  assert.deepEqual({ net, run, ffi }, {
    net: ["unix:/no/socket"],
    run: undefined,
    ffi: undefined,
  });
});

Deno.test("an address that is no path gives no permission: the command tells what is wrong with it", () => {
  const { net, read } = lists("index list", "-a", "tcp://127.0.0.1:1");
  assert.deepEqual({ net, read }, { net: undefined, read: ["/no/root"] });
});

Deno.test("credential helpers are those that Docker's file names, and no paths", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(
    `${folder}/config.json`,
    JSON.stringify({
      credsStore: "pass",
      credHelpers: { "r.example": "ecr-login", bad: "../../bin/sh", odd: 1 },
    }),
  );
  const line: Line = {
    ...readLine(["r.example/a:1"]),
    env: (name) => name === "DOCKER_CONFIG" ? folder : undefined,
  };
  assert.deepEqual(grantsOf(PERMISSIONS.inspect!.parts, line).run, [
    "docker-credential-pass",
    "docker-credential-ecr-login",
  ]);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("files that a hosts.toml names elsewhere may be read, too", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(`${folder}/r.example`);
  await Deno.writeTextFile(
    `${folder}/r.example/hosts.toml`,
    `server = "https://r.example"\nca = ["/no/ca.pem", "own.pem", '../ca.pem']\n`,
  );
  const { read } = lists("order list", `--hosts-dir=${folder}`, "r.example/a");
  assert.deepEqual(read, [
    "/no/home/.docker/config.json",
    ...[folder, "/no/ca.pem", `${folder}/ca.pem`],
  ]);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("what one command may do is in its word's set, and all of them in the binary's", () => {
  const { binary, inspect, config, "mount-helper": helper } = permissionSets();
  assert.deepEqual(Object.keys(helper!), ["ffi"]);
  assert.deepEqual(Object.keys(config!).sort(), ["env", "read"]);
  assert.deepEqual(inspect!.ffi, undefined);
  assert.deepEqual(inspect!.write, undefined);
  for (const kind of ["read", "write", "net", "run"] as const) {
    assert.equal(binary![kind], true);
  }
});

Deno.test("the page names every command that has libc, and no other", async () => {
  const page = await Deno.readTextFile(path("docs/security.md"));
  const [, named = ""] =
    /against an attacker who runs code inside:([^.]*?), and\s+the mount helper\./
      .exec(page) ?? [];
  const withLibc = Object.entries(PERMISSIONS)
    .filter(([, { parts }]) => parts.some(({ ffi }) => ffi !== undefined))
    .map(([words]) => words.split(" ")[0]!)
    .filter((word) => word !== "mount-helper");
  assert.deepEqual(
    [...named.matchAll(/`([a-z-]+)`/g)].map(([, word]) => word!).sort(),
    [...new Set(withLibc)].sort(),
  );
});

/** What people and scripts give where a path, an address, a host or an image is wanted. */
const ODD_VALUES = [
  ...["", "x", "rel/x.sock", "../x", "./x", "unix://", "unix://rel", "unix:"],
  ...["tcp://1.2.3.4:5", "/a b", "a,b", "*", "*.x", "~", "é.example/a:1"],
  ...["[::1", "[1:2]/a", "[::1]:80/a", "h:99999/a", "h:x/a", "a..b/c", "99999"],
  ...["http://[::zz]/", "http://h:70000/", "-x.y:1/a", `${"l".repeat(64)}.x/a`],
];

Deno.test("whatever a line gives as a path or a host, the command's Worker starts with the lists of it", () => {
  const tried = new Map<string, Set<string>>();
  for (const words of Object.keys(PERMISSIONS)) {
    for (const odd of ODD_VALUES) {
      const flags = [...VALUE_FLAGS, ...Object.keys(SHORT_VALUE_FLAGS)]
        .map((name) => `--${name}=${odd}`);
      const all = lists(words, ...flags, "--", odd, odd);
      for (const [kind, list] of Object.entries(all)) {
        const names = tried.get(kind) ?? new Set();
        tried.set(kind, names.union(new Set(list === true ? [] : list)));
      }
    }
  }
  assert.ok(tried.get("net")!.has("unix:/a b"));
  assert.ok(tried.get("net")!.has(`unix:${Deno.cwd()}/rel/x.sock`));
  for (const [kind, names] of tried) {
    const permissions = { [kind]: [...names] };
    new Worker("data:text/javascript,", {
      type: "module",
      deno: { permissions },
    }).terminate(); // it throws where there is a name that no list can have
  }
});
