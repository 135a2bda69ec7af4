import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { join } from '../../memory/commons.js';
import { indexOf, self } from '../../memory/participants.js';
import { native } from '../../native/native.js';
import { ring } from '../doorbell.js';

/* Peers for tests: a process or a thread of the family that does what a compiled file, told what by JSON, says. */

/** What a peer's file calls first: joins the family and tells what it was asked to do. */
export function joinFamily<T>(): T {
  const { fd, bytes, task } = JSON.parse(process.argv.at(-1) as string);
  if (fd >= 0) join(fd, bytes);
  self();
  return task;
}

/** Starts `file` as a process. When it has ended, however, the family is told, as its reaper must. */
export function startProcess(file: string, task: unknown): { child: ChildProcess; ended: Promise<unknown> } {
  const argument = JSON.stringify({ fd: 3, bytes: native.arenaBytes(), task });
  const child = spawn(process.execPath, [file, argument], {
    stdio: ['ignore', 'inherit', 'inherit', native.arenaFd()],
  });
  const ended = once(child, 'exit').then(([code, signal]) => {
    native.bury(child.pid as number);
    return signal ?? code;
  });
  return { child, ended };
}

/** Starts `file` as a thread. `die` ends it at whatever it does, and tells the family. */
export function startThread(
  file: string,
  task: unknown,
): { ended: Promise<unknown>; die(tag: number): Promise<void> } {
  const worker = new Worker(file, { argv: [JSON.stringify({ fd: -1, task })] });
  const failed = new Promise<never>((_, reject) => worker.once('error', reject));
  const ended = Promise.race([once(worker, 'exit').then(([code]) => code), failed]);
  return {
    ended,
    async die(tag) {
      const terminated = worker.terminate();
      ring(indexOf(tag), 0); // it may be blocked, where it does not hear of it
      await terminated;
      native.tellDeath(tag);
    },
  };
}
