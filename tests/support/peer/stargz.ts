/** The stargz snapshotter, built from its Go module: Debian has only its command line. @module */
import {
  CommandError,
  type Containerd,
  run,
  type Service,
  startService,
  tryRun,
  unixSocketAnswers,
  unmountAll,
} from "../host/mod.ts";
import { newerPackage, type NotHere } from "./debian.ts";

/** Paths of the stargz programs. */
export interface Stargz {
  /** Converts, pushes and pulls images. */
  readonly ctrRemote: string;
  readonly daemon: string;
}

const VERSION = "v0.19.1";
const FOLDER = `/var/tmp/soci-deno-stargz-${VERSION}`;
const GO_MOD = `module build

go 1.24

require github.com/containerd/stargz-snapshotter ${VERSION}
`;
/** Its own command is a module that cannot be installed by itself. */
const MAIN_GO = `package main

import (
	"context"
	"log"
	"net"
	"os"

	snapshots "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/contrib/snapshotservice"
	"github.com/containerd/stargz-snapshotter/service"
	"google.golang.org/grpc"
)

func main() {
	snapshotter, err := service.NewStargzSnapshotterService(
		context.Background(), os.Args[2], &service.Config{})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	snapshots.RegisterSnapshotsServer(
		server, snapshotservice.FromSnapshotter(snapshotter))
	log.Fatal(server.Serve(listener))
}
`;

/**
 * Gets the programs.
 * @param build whether the daemon is built where it is missing: once a machine, for some minutes.
 * @throws CommandError
 */
export async function stargz(
  { build }: { build: boolean },
): Promise<Stargz | NotHere> {
  const tools = await newerPackage("stargz-snapshotter", "trixie");
  if ("reason" in tools) return tools;
  const found: Stargz = {
    ctrRemote: `${tools.folder}/usr/bin/ctr-remote`,
    daemon: `${FOLDER}/containerd-stargz-grpc`,
  };
  if ((await tryRun("test", ["-x", found.daemon])).code === 0) return found;
  if (!build) {
    return { reason: "its daemon is built with Go, once a machine" };
  }
  await buildDaemon(found.daemon);
  return found;
}

async function buildDaemon(path: string): Promise<void> {
  const work = await Deno.makeTempDir({ prefix: "soci-deno-stargz-" });
  try {
    await Deno.writeTextFile(`${work}/go.mod`, GO_MOD);
    await Deno.writeTextFile(`${work}/main.go`, MAIN_GO);
    const limits = { cwd: work, timeoutMs: 1_800_000 };
    await run("go", ["mod", "tidy"], limits);
    await run("go", ["build", "-trimpath", "-o", "daemon", "."], limits);
    await Deno.mkdir(FOLDER, { recursive: true });
    await run("mv", [`${work}/daemon`, path]);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** A stargz daemon with its own files. */
export interface StargzDaemon extends AsyncDisposable {
  /** Socket to give to containerd as a proxy snapshotter. */
  readonly address: string;
  readonly pid: number;
}

/** Starts the daemon. @param caFile authorities to trust in place of the system's. */
export async function startStargz(
  { daemon }: Stargz,
  { caFile }: { caFile: string },
): Promise<StargzDaemon> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-peer-" });
  const address = `${folder}/stargz.sock`;
  const removeFiles = async () => {
    await unmountAll(folder);
    await Deno.remove(folder, { recursive: true });
  };
  let service: Service;
  try {
    service = await startService({
      program: daemon,
      args: [address, `${folder}/root`],
      logFile: `${folder}/log`,
      env: { SSL_CERT_FILE: caFile },
      ready: () => unixSocketAnswers(address),
    });
  } catch (error) {
    await removeFiles();
    throw error;
  }
  return {
    address,
    pid: service.pid,
    async [Symbol.asyncDispose]() {
      await service.close();
      await removeFiles();
    },
  };
}

/** Runs `ctr-remote images` against a containerd. @throws CommandError */
export async function ctrRemote(
  { ctrRemote }: Stargz,
  containerd: Containerd,
  ...args: string[]
): Promise<void> {
  const result = await tryRun(ctrRemote, [
    ...["--address", containerd.address, "images"],
    ...args,
  ], { timeoutMs: 900_000 });
  if (result.code !== 0) {
    throw new CommandError(`ctr-remote ${args[0]}`, result);
  }
}
