/**
 * The running daemon's control socket, from outside: where it is, and what it may be told. What it
 * answers, and takeovers, are the matter of `handover`.
 *
 * It may connect to that socket. It loads nothing else, so that commands which only tell the daemon
 * something start as fast as without.
 * @module
 */
export { type ExpectedImage, tellExpected } from "./expect.ts";
export { connect, elsewhere } from "./socket.ts";
