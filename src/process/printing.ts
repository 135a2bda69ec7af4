import { Writable } from 'node:stream';
import { isatty } from 'node:tty';
import { inspect } from 'node:util';
import { native } from '../native/native.js';
import { selfName } from '../platform/self-name.js';

/*
 * process.stdout and process.stderr of a child. Node's would write to a pipe or socket when the event loop comes to it: what has
 * not been written by the time of process.exit() is lost, lines of several processes get mixed, and a reader that has
 * gone ends the process. Node also sets the descriptor not to block, for all who have it. To terminals it prints at once,
 * and knows much about them: there its own streams stay.
 */

/**
 * Prints at once: when write() returns, all is in the pipe, socket or file. With that a slow reader is waited for, as by a
 * program in C. What nobody will read any more is dropped; who wants to know listens to 'error'.
 */
export class Printer extends Writable {
  constructor(readonly fd: number) {
    super();
  }

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    try {
      native.writeAll(this.fd, bytes);
    } catch (error) {
      process.nextTick(() => {
        if (this.listenerCount('error') > 0) this.emit('error', error);
      });
    }
    done();
  }
}

/** Says on stderr that this error ends this process or thread, as `Process-1: Error: …` with its stack. */
export function printError(error: unknown): void {
  try {
    process.stderr.write(`${selfName()}: ${inspect(error)}\n`);
  } catch {} // nobody listens: there is no other place to say it
}

const OUTPUTS = { stdout: 1, stderr: 2 } as const;
const names = Object.keys(OUTPUTS) as (keyof typeof OUTPUTS)[];

let inUse: { stdout?: NodeJS.WritableStream; stderr?: NodeJS.WritableStream } = {};
let installed = false;

/** From now on this process prints so. Cheap to call again. */
export function printAtOnce(): void {
  if (installed) return;
  installed = true;
  for (const name of names) {
    const nodes = Object.getOwnPropertyDescriptor(process, name)?.get as () => NodeJS.WriteStream;
    const open = () => {
      if (!isatty(OUTPUTS[name])) return new Printer(OUTPUTS[name]);
      return nodes.call(process).on('error', () => {}); // a terminal that was closed is no reason to fail
    };
    Object.defineProperty(process, name, {
      configurable: true,
      enumerable: true,
      get: () => {
        inUse[name] ??= open();
        return inUse[name];
      },
    });
    // The console would keep the stream that it printed to first.
    Object.defineProperty(console, `_${name}`, { configurable: true, get: () => process[name] });
  }
}

/** In the fork server, for its children's sake: prints to nowhere. */
export function rehearsePrinting(): void {
  const nowhere = new Printer(-1);
  new console.Console(nowhere).log('rehearsal', 1, { a: [1] });
  isatty(-1);
}

/** In a forked child, whose descriptors may be others. */
export function forgetOutputs(): void {
  inUse = {};
}
