/**
 * `soci-deno doctor`: what keeps this host from starting containers lazily, and what to do about it.
 * @module
 */
import { parseReference } from "../lib/remote/registry/mod.ts";
import { type Command, parseCommandLine, UsageError } from "./command.ts";
import { examine } from "./doctor/examination.ts";
import type { Finding } from "./doctor/finding.ts";
import { checkImage } from "./doctor/image.ts";
import { CONTAINERD_CONFIG } from "./doctor/places.ts";
import { SESSION_OPTIONS, snapshotterOf } from "./flags.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "./registry_flags.ts";
import { daemonRoot, DEFAULT_ROOT } from "./root.ts";
import { Session, SESSION_HELP } from "./session.ts";

const HELP = `
Look at all that a lazy start needs: kernel, FUSE, EROFS, overlay, the daemon, containerd and its
configuration; with IMAGE also its registry, the login there, and its index. Nothing is changed.
Each line says what was found, and each fault how it is mended.

Usage: soci-deno doctor [flags] [IMAGE]

Flags:
  --root DIR              the daemon's root (default ${DEFAULT_ROOT};
                          also SOCI_SNAPSHOTTER_ROOT)
  --containerd-config FILE
                          containerd's configuration (default ${CONTAINERD_CONFIG})
  --snapshotter NAME      its name there (default soci; also CONTAINERD_SNAPSHOTTER)
  --no-cri                this host runs no Kubernetes: leave out what only that needs
  --json                  a list of findings as JSON
${SESSION_HELP}
${REGISTRY_HELP}

Exit code 1 when something keeps images from being lazy.
`;

/** The \`doctor\` subcommand. */
export const doctorCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        root: { type: "string" },
        "containerd-config": { type: "string" },
        snapshotter: { type: "string" },
        "no-cri": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        ...SESSION_OPTIONS,
        ...REGISTRY_OPTIONS,
      },
    });
    if (positionals.length > 1) {
      throw new UsageError("say `doctor`, or `doctor IMAGE`");
    }
    const [image] = positionals;
    const reference = image === undefined ? null : parseReference(image);
    const root = daemonRoot(values.root);
    await using session = await Session.open(values);
    const { findings: all, status } = await examine(session, {
      root,
      snapshotter: snapshotterOf(values.snapshotter),
      cri: !values["no-cri"],
      containerdConfig: values["containerd-config"],
    });
    const findings = [...all];
    if (reference !== null) {
      using client = registryClient(values, reference.host);
      findings.push(
        ...await checkImage(
          client,
          reference,
          status?.trust ?? null,
          session.signal,
        ),
      );
    }
    console.log(
      values.json ? JSON.stringify(findings, null, 2) : describe(findings),
    );
    return findings.some(({ level }) => level === "fail") ? 1 : 0;
  },
};

const MARKS: Readonly<Record<Finding["level"], string>> = {
  ok: "ok  ",
  warn: "warn",
  fail: "FAIL",
};

function describe(findings: readonly Finding[]): string {
  const lines = findings.map(({ check, level, text, fix }) =>
    `${MARKS[level]}  ${check.padEnd(11)}${text}${
      fix === null ? "" : `; to do: ${fix}`
    }`
  );
  const count = findings.filter(({ level }) => level === "fail").length;
  const verdict = count === 0
    ? "nothing keeps images from being lazy"
    : `${count} thing${
      count === 1 ? " keeps" : "s keep"
    } images from being lazy`;
  return [...lines, "", verdict].join("\n");
}
