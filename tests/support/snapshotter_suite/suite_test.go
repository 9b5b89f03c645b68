package suite

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
)

// start runs a daemon on a root of its own and connects to it.
func start(ctx context.Context, root string) (snapshots.Snapshotter, func() error, error) {
	socket := filepath.Join(root, "s.sock")
	words := strings.Split(os.Getenv("SOCI_DENO_SUITE_COMMAND"), "\n")
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
	conn, err := grpc.Dial(socket, grpc.WithInsecure(), grpc.WithAuthority("localhost"), grpc.WithContextDialer(
		func(ctx context.Context, path string) (net.Conn, error) { return net.Dial("unix", path) }))
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
