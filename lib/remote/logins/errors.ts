/** A configuration of Kubernetes cannot be used; the message names it, and holds no secret. */
export class LoginSetupError extends Error {
  static {
    this.prototype.name = "LoginSetupError";
  }
}
