/** The daemon ends: what is under way may go on with the next one. */
export class StoppingError extends Error {
  static {
    this.prototype.name = "StoppingError";
  }

  /** Says just that. */
  constructor() {
    super("the daemon is stopping");
  }
}
