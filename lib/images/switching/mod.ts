/**
 * A host changes from the existing SOCI daemon to this one, or back.
 *
 * containerd keeps records of its own of each snapshot that a snapshotter has. When another daemon takes the
 * snapshotter's place, these records name snapshots that nobody has: orphans. containerd then neither uses the
 * layer nor makes it anew, so every pull of such an image fails. So before the change the records are cleared, by
 * what the old daemon's own table says, and its state is put aside, never overwritten.
 *
 * It may read the state of either daemon below a root that no process serves, move it within that root, and remove
 * images and snapshots from containerd. It must not touch a root that is in use, nor what a container runs on.
 * @module
 */
export { clearOrphans, findOrphans, type Orphans } from "./containerd.ts";
export {
  type OldSnapshot,
  type OldState,
  oldState,
  type StateOwner,
} from "./old_state.ts";
export { putAside, whyNotYet } from "./put_aside.ts";
