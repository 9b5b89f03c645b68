/**
 * Slow networks: a TCP proxy with a rate and a delay. The kernel's netem is often not there; this
 * is good enough for 100 Mbit/s and some milliseconds. And broken ones: an address that can be led
 * elsewhere, or nowhere, while it is used.
 * @module
 */
export { type Link, throttle } from "./link.ts";
export { Switch, type SwitchTarget } from "./switch.ts";
