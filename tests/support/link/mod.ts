/**
 * Slow networks: a TCP proxy with a rate and a delay. The kernel's netem is often missing; this
 * proxy is good enough for 100 Mbit/s and some milliseconds. Broken networks: an address whose
 * target can be changed, or made to hang, while it is used.
 * @module
 */
export { type Link, throttle } from "./link.ts";
export { Switch, type SwitchTarget } from "./switch.ts";
