import { closeSync, createReadStream, openSync, type ReadStream } from 'node:fs';
import { inspect } from 'node:util';
import { ForkUnsafeError, LifecycleError } from '../errors/errors.js';
import { PROCESS, PROCESS_STATE } from '../memory/layout.js';
import { native } from '../native/native.js';
import { runHere, type Settings } from './child.js';
import { whyUnsafe } from './fork.js';
import { forkSelf } from './fork-self.js';
import { leaveParent, rehearseLeaving } from './leave.js';
import { forgetOutputs, printAtOnce } from './printing.js';
import { move, write } from './records.js';
import { rehearseOutcome } from './work.js';

/*
 * The start method 'fork': the child is this very process once more, and runs its target without anything being sent to it.
 */

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;

/**
 * Starts process record `record` by forking this process. Returns its pid, in the parent only: the child calls `perform` from its event
 * loop, and nothing else. `inHand`: what it may come to use. `fds`: its stdout and stderr; undefined: those of this
 * process. `notItsOwn`: descriptors that it is to close. See checkForkMethod().
 */
export function startByFork(
  record: number,
  settings: Settings,
  perform: () => unknown,
  inHand: readonly unknown[],
  fds: readonly [number, number] | undefined,
  notItsOwn: readonly number[],
): number {
  rehearse();
  const parent = process.pid;
  let pid: number;
  try {
    pid = forkSelf();
  } catch (error) {
    if (native.processId() !== parent) endAtOnce(error);
    throw error;
  }
  if (pid === 0) {
    try {
      if (settings.identity.bound) native.endWithParent(parent);
      write(record, PROCESS.PID, process.pid);
      move(record, PROCESS_STATE.CLAIMED, PROCESS_STATE.RUNNING);
      redirect(fds);
      for (const fd of notItsOwn) native.close(fd);
      process.exitCode = undefined;
      leaveParent(() => void runHere(record, settings, perform), descriptorsOf(inHand));
    } catch (error) {
      endAtOnce(error);
    }
  }
  write(record, PROCESS.PID, pid);
  move(record, PROCESS_STATE.CLAIMED, PROCESS_STATE.RUNNING);
  return pid;
}

/** @throws {ForkUnsafeError} It is not possible to start `name` so in this process, or not now. */
export function checkForkMethod(name: string): void {
  const reason =
    whyUnsafe() ??
    (native.canLeave() ? undefined : 'as this build of Node does not offer what it takes: use "forkserver"');
  if (reason) throw new ForkUnsafeError(`Cannot start ${name} by "fork" ${reason}`);
  if ((process as unknown as { _exiting?: boolean })._exiting)
    throw new LifecycleError(
      `Cannot start ${name} by "fork" in an 'exit' listener: do so before, or use "forkserver"`,
    );
}

let rehearsed = false;

/** Does once what each child would else have to compile anew. */
function rehearse(): void {
  if (rehearsed) return;
  rehearsed = true;
  rehearseLeaving();
  rehearseOutcome();
}

/** A child that cannot come to its work must not go on with its parent's. */
function endAtOnce(error: unknown): never {
  try {
    process.stderr.write(`${inspect(error)}\n`);
  } catch {} // nobody listens
  return native.exit(1);
}

/** The descriptors of the sockets and servers among these: those are the child's as they are. */
function descriptorsOf(values: readonly unknown[]): number[] {
  return values.flatMap(value => {
    const { _handle: handle } = (value ?? {}) as { _handle?: { fd?: unknown } | null };
    return typeof handle?.fd === 'number' && handle.fd >= 0 ? [handle.fd] : [];
  });
}

/** In the child: gives it an empty stdin, and its own stdout and stderr, to which it prints as all children do. */
function redirect(fds: readonly [number, number] | undefined): void {
  const nothing = openSync('/dev/null', 'r');
  native.duplicate(nothing, STDIN);
  closeSync(nothing);
  let input: ReadStream | undefined;
  Object.defineProperty(process, 'stdin', {
    configurable: true,
    enumerable: true,
    get: () => {
      input ??= createReadStream('', { fd: STDIN, autoClose: false });
      return input;
    },
  });
  if (fds) for (const [index, fd] of [STDOUT, STDERR].entries()) native.duplicate(fds[index], fd);
  forgetOutputs();
  printAtOnce();
}
