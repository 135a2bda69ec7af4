/** What the user asked for with Ctrl-C, or the system with SIGTERM. */
export class Interrupts {
  /** 130 or 143 once something was asked; 0 before. */
  status = 0;
  #onStop: (() => void) | undefined;
  #stopNow: () => void = () => undefined;
  /** Resolves when everything shall end at once: a second Ctrl-C, or SIGTERM. */
  readonly now: Promise<void> = new Promise(resolve => {
    this.#stopNow = resolve;
  });
  readonly #interrupt = (): void => {
    const again = this.status !== 0;
    this.status ||= 130;
    if (again || !this.#onStop) this.#stopNow();
    else this.#onStop();
  };
  readonly #terminate = (): void => {
    this.status = 143;
    this.#stopNow();
  };

  constructor() {
    process.on('SIGINT', this.#interrupt);
    process.on('SIGTERM', this.#terminate);
  }

  /** What the first Ctrl-C does. Before it is set, that ends everything at once, as there is nothing to bring to an end. */
  set onStop(callback: () => void) {
    this.#onStop = callback;
  }

  /** The command has done what there was to do. Once interrupted it stays deaf to more: a third Ctrl-C changes nothing. */
  dispose(): void {
    if (this.status !== 0) return;
    process.removeListener('SIGINT', this.#interrupt);
    process.removeListener('SIGTERM', this.#terminate);
  }
}
