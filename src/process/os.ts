import { native } from '../native/native.js';
import { awaitEnded, awaitEndedSync, takeEnded } from './forked-children.js';

/*
 * What Python's `os` has for processes made by fork(). A status is what wait(2) tells; the functions with names in capitals take it
 * apart.
 */

/** How {@link waitpid | waitpid()} waits. */
export interface WaitpidOptions {
  /** Do not wait: [0, 0] if it has not ended. */
  nohang?: boolean;
}

/** The number of this process. */
export function getpid(): number {
  return process.pid;
}

/** Who started this process: now another, if that has ended. */
export function getppid(): number {
  return process.ppid;
}

/**
 * Waits for a child that fork() has made here, whichever ends first, or has ended and not been waited for: its pid and its status.
 * Of those that ended and were not waited for, the latest 4,096 are known.
 * @throws {LifecycleError} There is none.
 */
export function wait(): Promise<[pid: number, status: number]> {
  return awaitEnded(-1);
}

/**
 * Waits for one child that fork() has made here, as {@link wait | wait()} does for any; −1: for any. Of a number that was given anew it is
 * the latest.
 * @throws {LifecycleError} There is no such child, or it has been waited for. A Process is waited for by join().
 */
export async function waitpid(
  pid: number,
  options: WaitpidOptions = {},
): Promise<[pid: number, status: number]> {
  checkPid(pid);
  return options.nohang ? (takeEnded(pid) ?? [0, 0]) : awaitEnded(pid);
}

/** {@link waitpid | waitpid()}, blocking this thread. */
export function waitpidSync(pid: number, options: WaitpidOptions = {}): [pid: number, status: number] {
  checkPid(pid);
  return options.nohang ? (takeEnded(pid) ?? [0, 0]) : awaitEndedSync(pid);
}

/** Ends this process at once: no 'exit' listeners, and to the others it is as if it had been killed. */
export function _exit(status = 0): never {
  return native.exit(status);
}

/** Has it ended by itself? */
export function WIFEXITED(status: number): boolean {
  return (status & 0x7f) === 0;
}

/** With which exit code. */
export function WEXITSTATUS(status: number): number {
  return (status >> 8) & 0xff;
}

/** Did a signal end it? */
export function WIFSIGNALED(status: number): boolean {
  return (status & 0x7f) !== 0 && (status & 0x7f) !== 0x7f;
}

/** Which signal: its number, as in os.constants.signals. */
export function WTERMSIG(status: number): number {
  return status & 0x7f;
}

function checkPid(pid: number): void {
  if (!(Number.isInteger(pid) && (pid > 0 || pid === -1)))
    throw new RangeError(`Cannot wait for process ${String(pid)}: give what fork() returned, or -1 for any`);
}
