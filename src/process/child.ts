import type { Tickets } from '../channel/tickets.js';
import { decode } from '../codec/decode.js';
import { encode } from '../codec/encode.js';
import { setEntry } from '../codec/functions/modules.js';
import { inheritAuthkey } from '../memory/authkey.js';
import { words } from '../memory/commons.js';
import { PARTICIPANT, PROCESS, REASON } from '../memory/layout.js';
import { indexOf, record as participantRecord, self } from '../memory/participants.js';
import { native } from '../native/native.js';
import { selfName } from '../platform/self-name.js';
import { watchDeaths } from '../wait/deaths.js';
import { ring } from '../wait/doorbell.js';
import { forgetEnd, seeToTheEnd } from './children.js';
import { setStartFolder } from './command.js';
import { adoptIdentity, type Identity } from './identity.js';
import { applyLimits, type Limits } from './limits.js';
import { drop, isCarrier, peek, put, read, write } from './records.js';
import { setAffinityOf, setPriorityOf } from './scheduling.js';
import { inheritBirthplace } from './server.js';
import { inheritStartMethod, type StartMethod } from './start-method.js';
import { carryOut, carryOutHere, catchErrors, fail, takeOn } from './work.js';

/** What a child is told besides its task; what is undefined stays as it was born. */
export interface Settings {
  readonly identity: Identity;
  readonly startMethod: StartMethod;
  readonly authkey?: Uint8Array;
  /** For one that is spawned. */
  readonly program?: Program;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly priority?: number;
  readonly affinity?: readonly number[];
  readonly limits?: Limits;
}

/** What a fork knows, and a fresh Node must be told: of the program that it works for. */
export interface Program {
  readonly entry: string | undefined;
  readonly execArgv: readonly string[];
  /** The whole NODE_OPTIONS, where this process was given but a part. */
  readonly nodeOptions: string | undefined;
  readonly folder: string;
}

/** A payload is both messages, of which the task is the second: how long the first is, then the two. */
export function packPayload(settings: Settings, second: Uint8Array): Uint8Array {
  const first = encode(settings);
  const payload = new Uint8Array(4 + first.byteLength + second.byteLength);
  new DataView(payload.buffer).setUint32(0, first.byteLength, true);
  payload.set(first, 4);
  payload.set(second, 4 + first.byteLength);
  return payload;
}

/** Goes on in a forked child, as process record `index`. Resolves when the outcome is published. */
export function runForked(index: number): Promise<void> {
  const payload = takePayload(index);
  const split = 4 + new DataView(payload.buffer).getUint32(0, true);
  const settings = decode(payload, 4, split - 4) as Settings;
  return run(index, settings, payload.subarray(split));
}

/** The same in a child that was forked from its parent as that was: it has all that it needs. */
export function runHere(index: number, settings: Settings, perform: () => unknown): Promise<void> {
  unprepare();
  forgetEnd();
  return run(index, settings, perform);
}

/** Runs process record `index` in a process that was spawned for it. */
export function runSpawned(index: number): void {
  const payload = takePayload(index);
  const split = 4 + new DataView(payload.buffer).getUint32(0, true);
  const settings = decode(payload, 4, split - 4) as Settings;
  if (settings.program) workFor(settings.program);
  // Of the forked ones the fork server takes care; for this one there may be none.
  const { bound, parent } = settings.identity;
  if (bound) native.endWithParent(parent.pid);
  native.watchParent(parent.pid);
  void run(index, settings, payload.subarray(split));
}

function workFor({ entry, execArgv, nodeOptions, folder }: Program): void {
  setEntry(entry);
  process.execArgv = [...execArgv];
  if (nodeOptions !== undefined) process.env.NODE_OPTIONS = nodeOptions;
  setStartFolder(folder);
}

/** A copy of it: from here on the block is free, unless it holds the ends of pipes open until all is decoded. */
function takePayload(index: number): Uint8Array {
  const payload = (peek(index, PROCESS.PAYLOAD) ?? new Uint8Array(4)).slice();
  if (!isCarrier(index, PROCESS.PAYLOAD)) drop(index, PROCESS.PAYLOAD);
  return payload;
}

/** Sets every variable anew rather than the object: process.env is what child_process and getenv() look at. */
function replaceEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  for (const name of Object.keys(process.env)) if (env[name] === undefined) delete process.env[name];
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && process.env[name] !== value) process.env[name] = value;
  return process.env;
}

let prepared = false;

/** What can be done before it is known what to run. Cheap to call again. */
export function prepareToRun(): void {
  if (prepared) return;
  prepared = true;
  catchErrors();
  seeToTheEnd();
  watchDeaths();
}

/** Undoes that: in the fork server, after a rehearsal; and where all listeners are gone. */
export function unprepare(): void {
  prepared = false;
}

/** Resolves when the outcome is published. */
function run(index: number, settings: Settings, task: Uint8Array | (() => unknown)): Promise<void> {
  prepareToRun();
  takeOn(settings.identity.name, (...outcome) => publish(index, ...outcome));
  adoptIdentity(settings.identity);
  inheritAuthkey(settings.authkey);
  inheritStartMethod(settings.startMethod);
  process.title = settings.identity.name;
  words[participantRecord(indexOf(self())) + PARTICIPANT.PROCESS] = index + 1;
  try {
    settleIn(settings);
    applyLimits(index, settings.limits);
  } catch (error) {
    fail(error); // a folder that is not there, a CPU that it may not use
    return Promise.resolve();
  }
  if (typeof task === 'function') return carryOutHere(task);
  return carryOut(task, () => drop(index, PROCESS.PAYLOAD));
}

/** Takes the place it was given in the system. */
function settleIn({ env, cwd, priority, affinity }: Settings): void {
  if (env) process.env = replaceEnv(env);
  if (cwd !== undefined) process.chdir(cwd);
  if (env || cwd !== undefined) inheritBirthplace({ env: { ...process.env }, cwd: process.cwd() });
  if (priority !== undefined) setPriorityOf(process.pid, selfName(), priority);
  if (affinity) setAffinityOf(process.pid, selfName(), affinity);
}

function publish(index: number, outcome: number, message: Uint8Array, tickets: Tickets | null): void {
  put(index, PROCESS.RESULT, message, tickets);
  write(index, PROCESS.OUTCOME, outcome); // last: from now on it counts, whatever becomes of this process
  ring(indexOf(read(index, PROCESS.OWNER)), REASON.CHILD);
}
