/** The control files of the Debian package. @module */

/** Debian's names. */
export const DEBIAN_ARCHITECTURES = {
  x86_64: "amd64",
  aarch64: "arm64",
} as const;

/** The host's package of the same programs: both cannot be installed. */
const OTHER = "soci-snapshotter";

const POSTINST = `#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload || :
  # After an upgrade the new program takes over: a restart leaves the mounts, and readers wait.
  if [ -n "$2" ]; then systemctl try-restart soci-snapshotter.service || :; fi
fi
`;

const PRERM = `#!/bin/sh
set -e
if [ "$1" = remove ]; then
  # containerd must not be left with a snapshotter that is gone.
  soci-deno uninstall --yes || :
  if [ -d /run/systemd/system ]; then
    systemctl disable --now soci-snapshotter.socket soci-snapshotter.service || :
  fi
  soci-deno stop || :
fi
`;

const POSTRM = `#!/bin/sh
set -e
if [ "$1" = purge ]; then
  rm -rf --one-file-system /var/lib/soci-snapshotter-grpc /var/lib/soci-deno
fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload || :; fi
`;

/** Files of the control folder, with their modes. */
export function controlFiles(options: {
  readonly version: string;
  readonly architecture: keyof typeof DEBIAN_ARCHITECTURES;
  /** Sum of all files. */
  readonly bytes: number;
}): Readonly<Record<string, readonly [text: string, mode: number]>> {
  const control = [
    ["Package", "soci-deno"],
    ["Version", options.version],
    ["Architecture", DEBIAN_ARCHITECTURES[options.architecture]],
    ["Maintainer", "soci-deno contributors <soci-deno@localhost>"],
    ["Section", "admin"],
    ["Priority", "optional"],
    ["Installed-Size", String(Math.ceil(options.bytes / 1024))],
    ["Depends", "libc6"],
    ["Recommends", "containerd"],
    ["Conflicts", OTHER],
    ["Replaces", OTHER],
    ["Provides", OTHER],
    ["Description", "starts containers before their images are downloaded"],
  ].map(([name, value]) => `${name}: ${value}\n`).join("");
  return {
    control: [
      `${control} A containerd remote snapshotter for SOCI indexes, and the tools that make
 and publish them. \`soci-deno install\` tells containerd of it.
`,
      0o644,
    ],
    conffiles: ["/etc/soci-snapshotter-grpc/config.toml\n", 0o644],
    postinst: [POSTINST, 0o755],
    prerm: [PRERM, 0o755],
    postrm: [POSTRM, 0o755],
  };
}
