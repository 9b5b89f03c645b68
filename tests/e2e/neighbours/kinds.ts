/** Neighbours that are bad, each in its way. @module */
import { startDockerRegistry } from "../../support/host/mod.ts";
import { Switch, throttle } from "../../support/link/mod.ts";
import { type Fault, startRegistry } from "../../support/registry/mod.ts";
import { type Greedy, type NeighbourKind, until } from "./stage.ts";

/** Reads that failed tell that a registry gives nothing, as its readers see it. */
function shownBy(greedy: Greedy, what: string): string | null {
  const errors = greedy.errors();
  return errors === 0
    ? null
    : `${what}: ${errors} reads of its own container failed`;
}

/** Its registry is stopped in its tracks: connections are taken, and nothing is said. */
export const hung: NeighbourKind = async (stage) => {
  await using owned = new AsyncDisposableStack();
  const registry = owned.use(await startDockerRegistry());
  const greedy = await stage.greedy(registry.host);
  const rest = owned.move();
  return {
    async spoil() {
      registry.kill("SIGSTOP");
      await greedy.go();
    },
    shown: () => shownBy(greedy, "a registry that hangs"),
    async [Symbol.asyncDispose]() {
      registry.kill("SIGCONT");
      await greedy.end();
      await rest.disposeAsync();
    },
  };
};

/** Its registry gives 3 kB a second. */
export const dripping: NeighbourKind = async (stage) => {
  await using owned = new AsyncDisposableStack();
  const registry = owned.use(startRegistry());
  const well = registry.host as `127.0.0.1:${number}`;
  const line = owned.use(new Switch(well));
  const greedy = await stage.greedy(well, `127.0.0.1:${line.port}`);
  const drip = owned.use(
    await throttle(well, { bitsPerSecond: 24_000, delayMs: 1 }),
  );
  const rest = owned.move();
  return {
    async spoil() {
      line.lead(drip.host as `127.0.0.1:${number}`);
      await greedy.go();
      await until(() => drip.bytes() > 0);
    },
    shown: () =>
      shownBy(greedy, `a registry that drips, ${drip.bytes()} bytes`),
    async [Symbol.asyncDispose]() {
      line.lead(well);
      await greedy.end();
      await rest.disposeAsync();
    },
  };
};

/** Its registry does something else with every request for bytes. */
function faulty(what: string, fault: Fault): NeighbourKind {
  return async (stage) => {
    await using owned = new AsyncDisposableStack();
    const registry = owned.use(startRegistry());
    const greedy = await stage.greedy(registry.host);
    const rest = owned.move();
    return {
      async spoil() {
        registry.faults.add(fault);
        await greedy.go();
      },
      shown: () => shownBy(greedy, what),
      async [Symbol.asyncDispose]() {
        registry.faults.clear();
        await greedy.end();
        await rest.disposeAsync();
      },
    };
  };
}

/** Its registry answers 503 to every request for bytes. */
export const unavailable: NeighbourKind = faulty(
  "a registry that answers 503",
  { kind: "status", status: 503 },
);

/** Its registry gives wrong bytes. */
export const lying: NeighbourKind = faulty(
  "a registry that lies",
  { kind: "corrupt" },
);
