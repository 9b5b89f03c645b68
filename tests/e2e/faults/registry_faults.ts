/** A registry that misbehaves in every way while containers read cold files. @module */
import {
  type CertificateAuthority,
  freePort,
  makeCertificateAuthority,
  pause,
} from "../../support/host/mod.ts";
import { Switch, throttle } from "../../support/link/mod.ts";
import { nameLoopback } from "../../support/peer/mod.ts";
import {
  type Fault as RegistryFault,
  startRegistry,
  type TestRegistry,
} from "../../support/registry/mod.ts";
import { type Fault, type Outcome, outcomeOf } from "./outcome.ts";
import { BOUND_MS, publish, Stage } from "./stage.ts";

const NAME = "registry.soci-deno.test";
const LOGIN = "user:secret";
/** Far below the bound, so that nobody may see an error. */
const SHORT_MS = BOUND_MS / 2;
/** Well above it: a read may wait twice, once with the kernel's read-ahead and once alone. */
const LONG_MS = BOUND_MS * 3;

/** What can be spoiled. */
interface World {
  readonly registry: TestRegistry;
  /** Between the daemon and the registry. */
  readonly line: Switch;
  /** The same content behind a certificate of an authority nobody trusts. */
  readonly impostor: TestRegistry;
  /** The registry's name in /etc/hosts. */
  name: Disposable;
}

/** Spoils the world; returns what makes it whole again. */
type Spoil = (world: World) => () => void | Promise<void>;

/** Behaviours of a registry, spoiled by the fault switches of the embedded one. */
const by = (fault: RegistryFault): Spoil => ({ registry }) => {
  registry.faults.add(fault);
  return () => registry.faults.clear();
};

/** Something that is done again and again. */
const again =
  (everyMs: number, act: (world: World) => void): Spoil => (world) => {
    const timer = setInterval(() => act(world), everyMs);
    act(world);
    return () => clearInterval(timer);
  };

const slow: Spoil = ({ line, registry }) => {
  const link = throttle(registry.host, { bitsPerSecond: 8000, delayMs: 1 });
  link.then(({ host }) => line.lead(host as `127.0.0.1:${number}`));
  return async () => {
    line.lead(registry.host as `127.0.0.1:${number}`);
    await (await link).close();
  };
};

const whole = ({ line, registry }: World) =>
  line.lead(registry.host as `127.0.0.1:${number}`);

const FAULTS: readonly (readonly [string, Spoil, "short" | "both" | "long"])[] =
  [
    ["registry refuses connections", (world) => {
      world.line.refuse();
      return () => whole(world);
    }, "both"],
    ["registry takes connections and is silent", (world) => {
      world.line.lead("nowhere");
      return () => whole(world);
    }, "both"],
    ["registry gives 1 kB/s", slow, "both"],
    ["registry comes and goes every 150 ms", (world) => {
      let up = true;
      const timer = setInterval(() => {
        up = !up;
        up ? whole(world) : world.line.refuse();
      }, 150);
      return () => {
        clearInterval(timer);
        whole(world);
      };
    }, "short"],
    ["wrong bytes", by({ kind: "corrupt" }), "both"],
    ["bodies too short", by({ kind: "truncate", afterBytes: 100 }), "both"],
    ["bodies too long", by({ kind: "extend", bytes: 1000 }), "both"],
    ["wrong Content-Range", by({ kind: "shift" }), "both"],
    [
      "429 with Retry-After",
      by({
        kind: "status",
        status: 429,
        retryAfter: "1",
      }),
      "short",
    ],
    ["429 without end", by({ kind: "status", status: 429 }), "both"],
    ["503 without end", by({ kind: "status", status: 503 }), "both"],
    ["401 whatever is shown", by({ kind: "status", status: 401 }), "both"],
    ["403 whatever is shown", by({ kind: "status", status: 403 }), "both"],
    [
      "404 for blobs that are there",
      by({ kind: "status", status: 404 }),
      "both",
    ],
    [
      "tokens end every 20 ms",
      again(20, ({ registry }) => registry.gate.revoke()),
      "short",
    ],
    ["signed addresses end every 20 ms", (world) => {
      world.registry.redirect = { lifeMs: 20 };
      return () => {
        world.registry.redirect = null;
      };
    }, "short"],
    ["certificate of an unknown authority", (world) => {
      world.line.lead(world.impostor.host as `127.0.0.1:${number}`);
      return () => whole(world);
    }, "both"],
    ["name taken from DNS", (world) => {
      world.name[Symbol.dispose]();
      world.line.cut();
      return () => {
        world.name = nameLoopback(NAME);
      };
    }, "both"],
    // The last one: the repository is remembered for a minute as one that gives no parts.
    ["ranges ignored, whole blob given", by({ kind: "whole" }), "long"],
  ];

interface Trial {
  readonly name: string;
  readonly spoil: Spoil;
  readonly lastsMs: number;
}

const TRIALS: readonly Trial[] = FAULTS.flatMap(([name, spoil, lengths]) =>
  [
    ...lengths === "long" ? [] : [SHORT_MS],
    ...lengths === "short" ? [] : [LONG_MS],
  ].map((lastsMs) => ({
    name: `${name}, ${lastsMs / 1000} s`,
    spoil,
    lastsMs,
  }))
);

/**
 * Docker's login at a host, written to a folder of its own below `parent`. It reaches the token server, which is another host than
 * the registry's name: a login of the command line would not.
 */
async function dockerLogin(parent: string, host: string): Promise<string> {
  const folder = `${parent}/docker`;
  await Deno.mkdir(folder);
  const auths = { [host]: { auth: btoa(LOGIN) } };
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify({ auths }));
  return folder;
}

/** Everything these faults need; each trial uses up a layer. */
export class RegistryFaults implements AsyncDisposable {
  readonly faults: readonly Fault[];

  private constructor(
    readonly world: World,
    readonly stage: Stage,
    private readonly owned: AsyncDisposableStack,
  ) {
    this.faults = TRIALS.map((trial) => ({
      name: trial.name,
      allowed: trial.lastsMs < BOUND_MS ? "delay" : "errors",
      try: () => this.#try(trial),
    }));
  }

  /** What the faults are called. */
  static names(): string[] {
    return TRIALS.map(({ name }) => name);
  }

  /** @param trials how many there will be. */
  static async start(trials: number): Promise<RegistryFaults> {
    await using stack = new AsyncDisposableStack();
    const authority = stack.use(await makeCertificateAuthority());
    const stranger = stack.use(await makeCertificateAuthority());
    const line = stack.use(new Switch("nowhere"));
    const [username = "", password = ""] = LOGIN.split(":");
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-registry-" });
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    const open = async (who: CertificateAuthority, port = freePort()) =>
      stack.use(startRegistry({
        port,
        folder,
        tls: await certificate(who),
        auth: { kind: "bearer", username, password, anonymousPull: true },
      }));
    const registry = await open(authority);
    const impostor = await open(stranger);
    line.lead(registry.host as `127.0.0.1:${number}`);
    const world: World = {
      registry,
      impostor,
      line,
      name: nameLoopback(NAME),
    };
    stack.defer(() => world.name[Symbol.dispose]());
    const token = await pushToken(registry, authority);
    const published = await publish({
      host: `${NAME}:${line.port}`,
      pushHost: registry.host,
      push: {
        scheme: "https",
        caCerts: [authority.certPem],
        authorization: token,
      },
      indexFlags: ["--tlscacert", authority.certPath],
      dockerConfig: await dockerLogin(folder, `${NAME}:${line.port}`),
      caFile: authority.certPath,
    }, { layers: trials });
    const stage = stack.use(await Stage.start(published));
    return new RegistryFaults(world, stage, stack.move());
  }

  async #try({ spoil, lastsMs }: Trial): Promise<Outcome> {
    const { stage, world } = this;
    const reading = await stage.read(stage.fresh(), {
      pauseMs: 20,
      seconds: 60,
    });
    await reading.go();
    await reading.reached(2);
    const before = this.#meetings();
    const heal = spoil(world);
    await pause(lastsMs);
    const met = this.#meetings() - before;
    await heal();
    const report = await reading.report;
    const outcome = outcomeOf(report);
    // Refused connections and unknown names leave no trace but the delay.
    if (met > 0 || outcome.seen !== "nothing") return outcome;
    return { ...outcome, violations: ["the daemon did not meet the fault"] };
  }

  /** Whatever tells that the daemon met the fault: connections and requests. */
  #meetings(): number {
    const { registry, impostor, line } = this.world;
    return registry.requests.length + impostor.requests.length +
      line.connections;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.owned.disposeAsync();
  }
}

async function certificate(authority: CertificateAuthority) {
  const { cert, key } = await authority.issue([NAME, "127.0.0.1"]);
  return {
    cert: await Deno.readTextFile(cert),
    key: await Deno.readTextFile(key),
  };
}

async function pushToken(
  registry: TestRegistry,
  { certPem }: CertificateAuthority,
): Promise<string> {
  using client = Deno.createHttpClient({ caCerts: [certPem] });
  const response = await fetch(
    `${registry.url}/token?scope=repository:faults:pull,push`,
    { headers: { authorization: `Basic ${btoa(LOGIN)}` }, client },
  );
  return `Bearer ${(await response.json()).token}`;
}
