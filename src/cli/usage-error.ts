/** The command was called wrongly: its message is printed without a stack, and the exit status is 2. */
export class UsageError extends Error {
  static {
    Object.defineProperty(UsageError.prototype, 'name', {
      value: 'UsageError',
      configurable: true,
      writable: true,
    });
  }
}
