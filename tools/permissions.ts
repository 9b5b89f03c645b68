/**
 * `deno task permissions`: writes the sets of `deno.json` and the list of `docs/security.md` from the one table,
 * `cmd/permissions.ts`.
 * @module
 */
import {
  type Grants,
  grantsOf,
  type Kind,
  KINDS,
  type Part,
} from "../cmd/grants.ts";
import { GRPC_VARIABLES, type Needs, PERMISSIONS } from "../cmd/permissions.ts";
import { formatted } from "./formatted.ts";
import { workersTable } from "./worker_permissions.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/**
 * The sets of `deno.json`: each word's, enough for any of its command lines, and `binary`, which is all of them.
 * Before it starts a Worker, a command that runs in one reads this program's modules and the login's file.
 */
export function permissionSets(): Readonly<Record<string, Grants>> {
  const sets: Record<string, Grants> = {};
  for (const [words, { parts, runs, asks }] of Object.entries(PERMISSIONS)) {
    const [word] = words.split(" ") as [string];
    const modules: Part[] = runs === "worker"
      ? [{ read: { all: "its modules" } }]
      : [];
    if (asks !== undefined) modules.push({ net: { all: "the fetch Worker" } });
    sets[word] = both(sets[word] ?? {}, grantsOf([...parts, ...modules], null));
  }
  return { binary: Object.values(sets).reduce(both, {}), ...sets };
}

function both(one: Grants, other: Grants): Grants {
  const parts = [one, other].map((each) =>
    Object.fromEntries(
      Object.entries(each).map(([kind, list]) => [
        kind,
        list === true ? { all: "" } : list,
      ]),
    )
  );
  return grantsOf(parts, null);
}

/** What is granted of a kind, in words. */
function wordsOf(parts: readonly Part[], kind: Kind): readonly string[] {
  const words = parts.flatMap((part) => {
    const list = part[kind];
    if (list === undefined) return [];
    if ("of" in list) return [list.says];
    return "all" in list ? [`anything: ${list.all}`] : list;
  });
  return [...new Set(words)];
}

/** `deno.json` with the sets of the table. @param text as it is */
export function configWithSets(text: string): string {
  const config = JSON.parse(text);
  return JSON.stringify({ ...config, permissions: permissionSets() }, null, 2) +
    "\n";
}

/** `docs/security.md` with the lists. @param text as it is @throws Error where the page has no place for them */
export function pageWithTable(text: string): Promise<string> {
  const page = between(text, "permissions", list());
  return formatted(between(page, "Workers", workersTable()), "md");
}

function between(text: string, what: string, list: string): string {
  const start = `<!-- ${what}: written by \`deno task permissions\` -->`;
  const end = `<!-- end of ${what} -->`;
  const [before, rest] = text.split(start);
  const after = rest?.split(end)[1];
  if (after === undefined) throw new Error(`the page lacks ${start} … ${end}`);
  return `${before}${start}\n\n${list}\n\n${end}${after}`;
}

/**
 * What an attacker gets done who runs code inside a command, of what `tests/support/attacker.js` tries beyond the
 * command's lists. `attacker_test.ts` holds each command to it.
 */
export function attackerGets(words: string): readonly string[] {
  const { parts, runs } = PERMISSIONS[words]!;
  const has = (kind: Kind) => parts.some((part) => part[kind] !== undefined);
  if (runs === "worker") {
    const isOpen = parts.some(({ net }) => net !== undefined && "all" in net);
    return [
      ...(isOpen ? ["connect elsewhere", "fetch from elsewhere"] : []),
      ...(has("ffi") ? ["load libc"] : []),
    ];
  }
  return [
    ...(has("read") ? ["read elsewhere"] : []),
    ...(has("write") ? ["write elsewhere"] : []),
    ...(has("run") ? ["run a program"] : []),
    ...(has("net") ? ["connect elsewhere", "fetch from elsewhere"] : []),
    ...(has("ffi") ? ["load libc"] : []),
    ...(has("read") ? ["ask for more"] : []), // to read
  ];
}

/**
 * Whether a command has its lists and no more. In the process it has those of `binary`, of the kinds that it names.
 */
function isExact({ parts, runs }: Needs): boolean {
  if (runs === "worker") return true;
  const whole = permissionSets()["binary"]!;
  return Object.entries(grantsOf(parts, null)).every(([kind, list]) =>
    list !== true && String(list) === String(whole[kind as Kind])
  );
}

/** Commands with the same lists together. Not a table: its rows would be wider than any page. */
function list(): string {
  const groups = new Map<string, string[]>();
  for (const [words, needs] of Object.entries(PERMISSIONS)) {
    const { parts, asks } = needs;
    const lines = KINDS.flatMap((kind) => {
      const granted = wordsOf(parts, kind);
      if (granted.length === 0) return [];
      return [`  - ${kind === "ffi" ? "libc" : `${kind}: ${told(granted)}`}`];
    });
    if (asks !== undefined) {
      lines.push(
        `  - asks, by the fetch Worker: the registry of ${asks.says}; hosts that --hosts-dir's files name; hosts that these lead to`,
      );
    }
    const gets = attackerGets(words);
    lines.push(
      `  - an attacker inside: ${
        gets.length === 0 ? "nothing more" : gets.join("; ")
      }`,
    );
    const where = isExact(needs) ? "exact" : "kinds alone";
    const key = [`(${where})`, ...lines].join("\n");
    groups.set(key, [...groups.get(key) ?? [], `**${words}**`]);
  }
  return [...groups].map(([key, names]) => `- ${names.join(", ")} ${key}`)
    .join("\n");
}

/** Variables as code, and gRPC's as one. */
function told(names: readonly string[]): string {
  const grpc = new Set(GRPC_VARIABLES);
  const own = names.filter((name) => !grpc.has(name)).map((name) =>
    /^[A-Z_*]+$/.test(name) ? `\`${name}\`` : name
  );
  return [...own, ...(own.length < names.length ? ["gRPC's"] : [])].join("; ");
}

if (import.meta.main) {
  const config = `${ROOT}deno.json`;
  await Deno.writeTextFile(
    config,
    configWithSets(await Deno.readTextFile(config)),
  );
  const page = `${ROOT}docs/security.md`;
  await Deno.writeTextFile(
    page,
    await pageWithTable(await Deno.readTextFile(page)),
  );
}
