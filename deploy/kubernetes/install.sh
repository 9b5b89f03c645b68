#!/bin/sh
# Puts soci-deno on the host below HOST and has the host's systemd run it. May be run again: what is there and the
# same is left alone, so that pods do not notice.
set -eu
HOST=${HOST:-/host}
PAYLOAD=${PAYLOAD:-/payload}
on_host() { ${ON_HOST:-nsenter -t 1 -m -u -i -n -p --} "$@"; }

# Is there from the first change on until all of it is in effect: a run that was ended in between is gone on with.
BEGUN=$HOST/usr/local/bin/.soci-deno-install

# Whole or not at all: a binary that is being run cannot be written, but another one can have its name. Called as a
# command of its own, never in a condition: the shell would go on behind a step that fails, such as on a full disk.
put() {
  if cmp -s "$1" "$HOST$2"; then return; fi
  mkdir -p "$(dirname "$BEGUN")" "$(dirname "$HOST$2")"
  : > "$BEGUN"
  cp "$1" "$HOST$2.new"
  chmod "$3" "$HOST$2.new"
  mv -f "$HOST$2.new" "$HOST$2"
}

put "$PAYLOAD/soci-deno" /usr/local/bin/soci-deno 0755
for unit in soci-snapshotter.service soci-snapshotter.socket; do
  put "$PAYLOAD/$unit" "/etc/systemd/system/$unit" 0644
done
if [ -e "$BEGUN" ]; then
  on_host systemctl daemon-reload
  on_host systemctl enable soci-snapshotter.socket soci-snapshotter.service
  on_host systemctl start soci-snapshotter.socket
  on_host systemctl restart soci-snapshotter.service
  rm -f "$BEGUN"
  echo "soci-deno is installed and runs"
else
  on_host systemctl start soci-snapshotter.socket soci-snapshotter.service
  echo "soci-deno is there already"
fi
