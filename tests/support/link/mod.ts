/**
 * Slow networks: a TCP proxy with a rate and a delay. The kernel's netem is often not there; this
 * is good enough for 100 Mbit/s and some milliseconds.
 * @module
 */
export { type Link, throttle } from "./link.ts";
