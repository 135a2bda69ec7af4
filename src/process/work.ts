import { collectTickets, storeWithTickets, type Tickets } from '../channel/tickets.js';
import { decodeAsync } from '../codec/decode.js';
import { encode } from '../codec/encode.js';
import { encodeThrown } from '../codec/errors.js';
import { free } from '../memory/allocator.js';
import { self } from '../memory/participants.js';
import { nameSelf } from '../platform/self-name.js';
import '../shared/register.js';
import { onFork } from '../wait/forks.js';
import { printError } from './printing.js';
import { OUTCOME } from './records.js';
import { callTarget, type PortableTarget } from './target.js';

export const RUN: unique symbol = Symbol('run');

/** What a process or thread has to do: to call this, */
export interface Task {
  readonly target: PortableTarget | undefined;
  readonly args: readonly unknown[];
}

/** or to do what this object does: see Execution. */
export interface Performer {
  [RUN](): unknown;
}

/** Writes an outcome where the starter finds it, and rings. `tickets`: of the ends of pipes in it. */
export type Publish = (outcome: number, message: Uint8Array, tickets: Tickets | null) => void;

/** Where the outcome goes; undefined once it is known: the first counts, what fails later is told by the exit code. */
let publish: Publish | undefined;

/**
 * Tells an error that ends this process or thread; false if it cannot, and the error is to be printed. `message`: the error encoded, if it
 * came after the outcome; null if it is the outcome.
 */
export type Report = (message: Uint8Array | null) => boolean;
let report: Report | undefined;

/** Makes errors that nobody catches the outcome, unless the program handles them itself. */
export function catchErrors(): void {
  process.on('uncaughtException', failIfAlone);
}

/** The same in a process forked in the midst of its parent's life, which may have done so. */
export function goOnCatchingErrors(): void {
  if (!process.listeners('uncaughtException').includes(failIfAlone)) catchErrors();
}

function failIfAlone(error: unknown): void {
  if (process.listenerCount('uncaughtException') === 1) fail(error);
}

// What the parent has to do, its fork does not: how that ends is told by its exit code alone.
onFork(() => ({
  take: () => {
    publish = undefined;
  },
}));

/** This process or thread has work to do from now on, under this name. `tell`: of errors that end it. */
export function takeOn(as: string, to: Publish, tell?: Report): void {
  nameSelf(as);
  publish = to;
  report = tell;
}

/**
 * Does it. Resolves when the outcome is published. `task`: encoded. `decoded` is called once that has been decoded, before
 * anything of it runs.
 */
export function carryOut(task: Uint8Array, decoded: () => void): Promise<void> {
  return perform(task, decoded).then(succeed, fail);
}

/** The same where all of it is at hand. */
export async function carryOutHere(perform: () => unknown): Promise<void> {
  await (async () => perform())().then(succeed, fail);
}

async function perform(bytes: Uint8Array, decoded: () => void): Promise<unknown> {
  const { value } = await decodeAsync(bytes);
  decoded();
  const task = value as Task | Performer;
  return RUN in task ? task[RUN]() : callTarget(task.target, task.args);
}

function succeed(value: unknown): void {
  let message: Uint8Array;
  let tickets: Tickets | null;
  try {
    ({ result: message, tickets } = collectTickets(() => encode(value, { root: 'result' })));
  } catch (error) {
    fail(error);
    return;
  }
  settle(OUTCOME.RETURNED, message, tickets);
}

/** Does to no purpose what follows when a target has returned. */
export function rehearseOutcome(): void {
  const { result: message } = collectTickets(() => encode([undefined, 1], { root: 'result' }));
  free(storeWithTickets(message, self(), null));
}

/** As Node ends on an uncaught error: says it, on stderr if need be, runs the 'exit' handlers, leaves with 1. */
export function fail(error: unknown): void {
  const { result: message, tickets } = collectTickets(() => encodeThrown(error));
  const isOutcome = publish !== undefined;
  settle(OUTCOME.THREW, message, tickets);
  if (!report?.(isOutcome ? null : message)) printError(error);
  process.exit(1);
}

function settle(outcome: number, message: Uint8Array, tickets: Tickets | null): void {
  const to = publish;
  publish = undefined;
  if (to) to(outcome, message, tickets);
  else tickets?.release();
}
