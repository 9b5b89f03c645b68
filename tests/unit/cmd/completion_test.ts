import assert from "node:assert/strict";
import { bashScript } from "../../../cmd/completion/bash.ts";
import { fishScript } from "../../../cmd/completion/fish.ts";
import { GROUPS, LINES } from "../../../cmd/completion/lines.ts";
import { zshScript } from "../../../cmd/completion/zsh.ts";
import { isPresent } from "../../support/packages.ts";
import { tryRun } from "../../support/host/mod.ts";
import { testUnless } from "../../support/test_unless.ts";

/** What is typed, and what must be among what is offered, and what must not be. */
const CASES: readonly {
  readonly typed: readonly string[];
  readonly offers: readonly string[];
  readonly not: readonly string[];
}[] = [
  {
    typed: ["s"],
    offers: ["serve", "status", "stop"],
    not: ["pull", "mount-helper"],
  },
  { typed: ["index", ""], offers: ["list", "info", "remove"], not: ["serve"] },
  {
    typed: ["build-index", "--"],
    offers: ["--to", "--platform"],
    not: ["--takeover"],
  },
  { typed: ["index", "ls", "--"], offers: ["--ref"], not: ["--to"] },
  { typed: ["serve", "--face", ""], offers: ["auto", "erofs"], not: ["fuse4"] },
  { typed: ["config", "d"], offers: ["default", "dump"], not: ["check"] },
  { typed: ["completion", ""], offers: ["bash", "zsh", "fish"], not: [] },
];

/** @param last of what must be offered, by the alphabet. */
type Offers = (
  typed: readonly string[],
  last: string,
) => Promise<readonly string[]>;

async function offersAll(offers: Offers) {
  for (const { typed, offers: wanted, not } of CASES) {
    const got = await offers(typed, wanted.toSorted().at(-1)!);
    const text = `${typed.join(" ")}: ${got.join(" ")}`;
    for (const word of wanted) assert.ok(got.includes(word), text);
    for (const word of not) assert.ok(!got.includes(word), text);
  }
}

async function withScript(
  script: string,
  use: (path: string) => Promise<void>,
) {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/_soci-deno`, script);
    await use(`${folder}/_soci-deno`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const lacking = (shell: string) =>
  isPresent(shell) ? null : `${shell} is not installed`;

testUnless(lacking("bash"), {
  name: "bash completes commands, flags and values",
  fn: () =>
    withScript(bashScript(LINES, GROUPS), (path) =>
      offersAll(async (typed) => {
        const { stdout, stderr } = await tryRun("bash", [
          ...["--norc", "-c"],
          'source "$0"; COMP_WORDS=(soci-deno "$@"); COMP_CWORD=$#; _soci_deno; printf "%s\\n" "${COMPREPLY[@]}"',
          ...[path, ...typed],
        ]);
        assert.equal(stderr, "");
        return stdout.trim().split("\n");
      })),
});

testUnless(lacking("fish"), {
  name: "fish completes commands, flags and values",
  fn: () =>
    withScript(fishScript(LINES, GROUPS), (path) =>
      offersAll(async (typed) => {
        const { stdout, stderr } = await tryRun("fish", [
          ...["--no-config", "-c"],
          'source $argv[1]; complete -C "$argv[2]"',
          ...[path, ["soci-deno", ...typed].join(" ")],
        ]);
        assert.equal(stderr, "");
        return stdout.trim().split("\n").map((line) => line.split("\t")[0]!);
      })),
});

/** Types into a zsh on a terminal, and has it list what it would offer, until the last word that it must offer came. */
const ZSH = `zmodload zsh/zpty
zpty z zsh -f -i
say() { zpty -w z "$1"; }
say "PS1= PS2= RPS1=; stty -echo; fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -D"
say "zstyle ':completion:*' list-grouped false; zstyle ':completion:*' insert-tab false"
say "zstyle ':completion:*' list-separator ''; LISTMAX=10000; COLUMNS=200; setopt no_list_beep no_always_last_prompt"
say "bindkey '^I' list-choices; echo REA'DY'"
while zpty -r z line; do [[ $line == *READY* ]] && break; done
zpty -n -w z "$2"$'\\t'
zpty -r z line "*$3*"
print -r -- "$line"
zpty -d z`;

testUnless(lacking("zsh"), {
  name: "zsh completes commands, flags and values",
  fn: () =>
    withScript(
      zshScript(LINES, GROUPS),
      (path) =>
        offersAll(async (typed, last) => {
          const { stdout } = await tryRun("zsh", [
            ...["-f", "-c", ZSH, "zsh", path.replace(/\/[^/]*$/, "")],
            ...[["soci-deno", ...typed].join(" "), last],
          ], { timeoutMs: 20_000 });
          // deno-lint-ignore no-control-regex
          const plain = stdout.replace(/\x1b\[[^a-zA-Z]*[a-zA-Z]|\r/g, "");
          return plain.split(/\s+/);
        }),
    ),
});
