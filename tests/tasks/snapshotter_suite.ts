/**
 * `deno task snapshotter-suite`: containerd's own suite for snapshotters, each of its tests on a daemon of its own. It
 * is built with Go, once a machine, for some minutes. Where that cannot be, it says why and passes.
 * @module
 */
import { sociDenoCommand, tryRun } from "../support/host/mod.ts";

const CONTAINERD = "v2.2.9";
const FOLDER = `/var/tmp/soci-deno-snapshotter-suite-${CONTAINERD}`;
const PROGRAM = `${FOLDER}/suite.test`;
const GO_MOD = `module suite

go 1.24

require github.com/containerd/containerd/v2 ${CONTAINERD}
`;
const SUITE_GO = `package suite

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/proxy"
	"github.com/containerd/containerd/v2/core/snapshots/testsuite"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// start runs a daemon on a root of its own and connects to it.
func start(ctx context.Context, root string) (snapshots.Snapshotter, func() error, error) {
	socket := filepath.Join(root, "s.sock")
	words := strings.Split(os.Getenv("SOCI_DENO_SUITE_COMMAND"), "\\n")
	state := filepath.Join(root, "state")
	args := append(words[1:], "serve", "--root", state, "--address", socket, "--config", "/dev/null")
	daemon := exec.Command(words[0], args...)
	log, err := os.Create(filepath.Join(root, "log"))
	if err != nil {
		return nil, nil, err
	}
	daemon.Stderr = log
	if err := daemon.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() error {
		daemon.Process.Signal(syscall.SIGINT)
		daemon.Wait()
		return nil
	}
	for tries := 0; ; tries++ {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			break
		}
		if tries > 600 {
			stop()
			text, _ := os.ReadFile(filepath.Join(root, "log"))
			return nil, nil, fmt.Errorf("the daemon does not come up: %s", text)
		}
		time.Sleep(100 * time.Millisecond)
	}
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		stop()
		return nil, nil, err
	}
	snapshotter := proxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(conn), "soci")
	return snapshotter, func() error {
		conn.Close()
		return stop()
	}, nil
}

func TestSnapshotter(t *testing.T) {
	testsuite.SnapshotterSuite(t, "soci", start)
}
`;
/** What overlayfs itself fails on most kernels: their redirect_dir is off, and a rename of a lower directory is EXDEV. */
const EXPECTED_FAILURES: readonly string[] = ["Rename"];

if (Deno.uid() !== 0) skip("it mounts file systems: run it as root");
if ((await tryRun("test", ["-x", PROGRAM])).code !== 0) {
  if ((await tryRun("sh", ["-c", "command -v go"])).code !== 0) {
    skip("it is built with Go, which is not here");
  }
  await build();
}
const { program, args } = sociDenoCommand();
const ran = await tryRun(PROGRAM, [
  ...["-test.v", "-test.root", "-test.parallel", "2", ...Deno.args],
], {
  cwd: FOLDER,
  timeoutMs: 900_000,
  env: { SOCI_DENO_SUITE_COMMAND: [program, ...args].join("\n") },
});
const results = [
  ...ran.stdout.matchAll(/^ +--- (PASS|FAIL|SKIP): TestSnapshotter\/(\S+)/gm),
].map(([, result, name]) => ({ result: result!, name: name! }));
const of = (result: string) => results.filter((one) => one.result === result);
const unexpected = of("FAIL")
  .filter(({ name }) => !EXPECTED_FAILURES.includes(name));
for (const { result, name } of results) console.log(`  ${result} ${name}`);
if (unexpected.length > 0 || results.length === 0) {
  console.log(ran.stdout.slice(-20_000) + ran.stderr.slice(-5_000));
}
console.log(
  `${of("PASS").length} passed, ${unexpected.length} failed, ${
    of("SKIP").length + of("FAIL").length - unexpected.length
  } skipped`,
);
Deno.exit(unexpected.length > 0 || results.length === 0 ? 1 : 0);

async function build(): Promise<void> {
  const work = await Deno.makeTempDir({ prefix: "soci-deno-suite-" });
  try {
    await Deno.writeTextFile(`${work}/go.mod`, GO_MOD);
    await Deno.writeTextFile(`${work}/suite_test.go`, SUITE_GO);
    const limits = { cwd: work, timeoutMs: 1_200_000 };
    for (
      const command of [
        ["mod", "tidy"],
        ["test", "-c", "-trimpath", "-o", "suite.test", "."],
      ]
    ) {
      const { code, stderr } = await tryRun("go", command, limits);
      if (code !== 0) skip(`go ${command[0]} failed: ${stderr.slice(-2000)}`);
    }
    await Deno.mkdir(FOLDER, { recursive: true });
    await tryRun("mv", [`${work}/suite.test`, PROGRAM]);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

function skip(reason: string): never {
  console.log(`skipped: ${reason}\n0 passed, 0 failed, 1 skipped`);
  Deno.exit(0);
}
