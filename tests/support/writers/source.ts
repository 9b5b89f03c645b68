import { run } from "../host/mod.ts";

/** `plain` leaves out what older tar formats cannot express. */
export type SourceKind = "plain" | "rich";

/** Makes a folder with every kind of file, as a shell script. `$1`: an empty folder; `$2`: the kind. */
const SCRIPT = `
set -e
cd "$1"
mkdir -m 1777 tmp; mkdir -p usr/lib usr/share/doc etc empty; chmod 711 usr/share
echo text > etc/file; chmod 640 etc/file; chown 7:8 etc/file
: > etc/empty-file
head -c 700000 /dev/zero | tr '\\0' 'z' > usr/lib/large
printf '#!/bin/sh\\n' > usr/program; chmod 4755 usr/program
printf x > usr/setgid; chmod 2755 usr/setgid; printf x > usr/sticky; chmod 1644 usr/sticky
mkdir -m 2775 shared; chgrp 50 shared; chmod 2775 shared
ln usr/program usr/program-again; ln etc/file usr/share/linked
ln -s ../etc/file usr/relative; ln -s /etc/file usr/absolute; ln -s nowhere usr/dangling
ln usr/relative usr/link-to-link
mkfifo -m 620 etc/pipe; ln etc/pipe etc/pipe-again
mknod -m 666 etc/null c 1 3; mknod -m 660 etc/loop b 7 300
d=$(printf 'd%.0s' $(seq 60)); mkdir -p "long/$d"; echo deep > "long/$d/$(printf 'f%.0s' $(seq 90))"
echo x > 'etc/with space'; echo x > 'etc/new
line'
find . -exec touch -h -d '2021-03-04 05:06:07' {} +
touch -d '2000-01-01 00:00:00' etc/file; touch -d '1970-01-01 00:00:00 UTC' etc/empty-file
if [ "$2" = rich ]; then
  chown 3000000:4000000 usr/lib/large
  touch -d '2001-09-09 01:46:40.123456789 UTC' usr/lib/large
  touch -d '2100-01-01 00:00:00.5 UTC' usr/share/doc
  setfattr -n user.text -v value etc/file
  setfattr -n user.on-directory -v yes usr/share
  setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 usr/setgid
  setfacl -m u:1000:r etc/file
  echo x > "etc/$(printf '\\303\\274n\\303\\257')"
  setfacl -d -m u:1000:rwx shared
  mkdir -p "$(printf 'x%.0s' $(seq 200))/$(printf 'y%.0s' $(seq 200))"
  echo far > "$(printf 'x%.0s' $(seq 200))/$(printf 'y%.0s' $(seq 200))/file"
  ln -s "/$(printf 'l%.0s' $(seq 250))/$(printf 'm%.0s' $(seq 200))" usr/long-link
fi
`;

/** Fills an empty folder. Its file system must have extended attributes and ACLs. */
export const SOURCE_FOLDER = {
  async make(folder: string, kind: SourceKind): Promise<void> {
    await run("sh", ["-c", SCRIPT, "sh", folder, kind]);
  },
};
