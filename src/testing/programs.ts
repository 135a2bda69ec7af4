import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/*
 * Unrelated programs for tests, each with a commons of its own, that do what they are told by messages.
 */
interface Call {
  readonly id: number;
  readonly act: string;
  readonly args: readonly unknown[];
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { readonly message: string; readonly code?: string };
}

/** What such a program can be told to do, by name. */
export type Acts = Record<string, (...args: never[]) => unknown>;

/** In such a program: does what it is told, and answers. */
export function answerCalls(acts: Acts): void {
  process.on('message', async ({ id, act, args }: Call) => {
    try {
      const value = await acts[act](...(args as never[]));
      process.send?.({ id, value } satisfies Answer);
    } catch (thrown) {
      const { code, name, message } = thrown as NodeJS.ErrnoException;
      process.send?.({ id, error: { message: `${name}: ${message}`, code } } satisfies Answer);
    }
  });
  process.send?.({ id: 0 } satisfies Answer);
}

/** One of them, seen from the test. */
export class Program<Act extends string = string> {
  readonly child: ChildProcess;
  readonly #answers = new Map<number, (answer: Answer) => void>();
  readonly #ready: Promise<void>;
  #calls = 0;

  /** `file`: the compiled module that it runs. `tell`: gets what it says without being asked. */
  constructor(file: string, tell: (message: any) => void = () => {}) {
    this.child = fork(file, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#ready = new Promise(resolve => this.#answers.set(0, () => resolve()));
    this.child.on('message', (message: Partial<Answer>) => {
      if (message.id === undefined) tell(message);
      else this.#answers.get(message.id)?.(message as Answer);
    });
  }

  /** Resolves to what the act returns. Rejects with an error with the same code; its message begins with the name of its class. */
  async call<T = unknown>(act: Act, ...args: unknown[]): Promise<T> {
    await this.#ready;
    const id = ++this.#calls;
    const answered = new Promise<Answer>(resolve => this.#answers.set(id, resolve));
    this.child.send({ id, act, args } satisfies Call);
    const { value, error } = await answered;
    if (error) throw Object.assign(new Error(error.message), { code: error.code });
    return value as T;
  }

  /** Resolves when it has ended and all of its messages have come. */
  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const closed = once(this.child, 'close');
    this.child.kill('SIGKILL');
    await closed;
  }
}
