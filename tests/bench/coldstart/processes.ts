/** Time and memory of processes, out of `/proc`. @module */
import { residentMb } from "../support.ts";

/** What some processes have used. */
export interface Usage {
  /** Processor time in user and kernel mode, with that of children that have ended. */
  readonly cpuMs: number;
  /** Resident memory of all of them. */
  readonly residentMb: number;
}

/** `sysconf(_SC_CLK_TCK)` is 100 on every Linux of today's architectures. */
const TICK_MS = 10;

/** What these processes have used so far. @throws Deno.errors.NotFound when one is gone */
export function usageOf(pids: readonly number[]): Usage {
  let cpuMs = 0;
  let resident = 0;
  for (const pid of pids) {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // After the name, which may hold anything: fields 14 to 17 of proc(5) are the times.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    cpuMs += fields.slice(11, 15)
      .reduce((sum, ticks) => sum + Number(ticks) * TICK_MS, 0);
    resident += residentMb(pid);
  }
  return { cpuMs, residentMb: resident };
}
