/**
 * The running daemon's control socket, from outside: where it is, what it may be told, and what it
 * answers. Takeovers are the matter of `handover`.
 *
 * It may connect to that socket. It loads nothing else, so that commands which only tell the daemon
 * something start as fast as without.
 * @module
 */
export { type ExpectedImage, tellExpected } from "./expect.ts";
export { bindingFolder, connect, elsewhere } from "./socket.ts";
export {
  askLog,
  askProgress,
  askStatus,
  type LayerOnItsWay,
  StatusError,
} from "./status.ts";
