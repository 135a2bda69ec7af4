import { AsyncResource, createHook, executionAsyncResource } from 'node:async_hooks';
import os from 'node:os';
import { native } from '../native/native.js';

/*
 * A child that is forked deep in its parent's code is born with all that this has under way: functions it would return to, promises,
 * timers, listeners, sockets. None of that is the child's business. The addon unwinds the functions and puts the handles to sleep
 * (native/leave.c). What waits in Node's own queues is run to no purpose: a hook that Node calls before each callback takes out of
 * it whatever is older than the child.
 */

/** What Node tells its process object, and a child is to hear of only by listeners of its own. */
const EVENTS = new Set<string | symbol>([
  'beforeExit',
  'disconnect',
  'exit',
  'message',
  'multipleResolves',
  'rejectionHandled',
  'uncaughtException',
  'uncaughtExceptionMonitor',
  'unhandledRejection',
  ...Object.keys(os.constants.signals),
]);

/** What Node offers on its process object, and does not document. */
interface NodeProcess {
  /** Runs what process.nextTick() was given, and microtasks. */
  _tickCallback(): void;
  /** Has an error handled that nobody caught. */
  _fatalException(error: unknown): boolean;
  getActiveResourcesInfo(): string[];
}
const node = process as unknown as NodeProcess;

const ignore = () => {};

/**
 * In a child that was forked just now: leaves its parent's code and all that this has under way, and calls `begin` from the
 * event loop, in the async context of this call. Sockets and servers with a descriptor among `kept` stay as they are.
 */
export function leaveParent(begin: () => void, kept: readonly number[]): never {
  dropListeners(EVENTS);
  const context = new AsyncResource('manyhands.child');
  const newest = context.asyncId();
  let isOnTheWay = true;
  const hook = createHook({
    before: id => stopCallback(id <= newest, isOnTheWay),
  }).enable();
  clearAsyncStack();
  // Node takes the end of a 'beforeExit' listener without a result for its own end.
  process.once('exit', goOn);
  native.leave(() => {
    isOnTheWay = false;
    process.removeListener('exit', goOn);
    dropQueues();
    hook.disable();
    context.runInAsyncScope(begin);
  }, kept);
  for (;;) {} // until V8 looks whether it is to go on
}

/** Before a fork: does once what each child would else have to compile anew. */
export function rehearseLeaving(): void {
  const context = new AsyncResource('manyhands.child');
  const hook = createHook({ before: () => stopCallback(false, false) }).enable();
  context.runInAsyncScope(ignore);
  hook.disable();
  process.once('exit', goOn);
  process.removeListener('exit', goOn);
  dropListeners(new Set());
  uncount('nothing', setTimeout(ignore), clearTimeout);
  uncount('nothing', setImmediate(ignore), clearImmediate);
}

function goOn(): never {
  (process as unknown as { _exiting: boolean })._exiting = false;
  return native.runLoop();
}

function dropListeners(events: ReadonlySet<string | symbol>): void {
  for (const event of process.eventNames()) if (events.has(event)) process.removeAllListeners(event);
  if (!process.hasUncaughtExceptionCaptureCallback()) return;
  try {
    process.setUncaughtExceptionCaptureCallback(null);
  } catch {} // the program uses node:domain, which has it
}

/** Takes out of the callback that Node is about to call what it would do, if it is `old`. `ends`: or else has it ended at its beginning. */
function stopCallback(old: boolean, ends: boolean): void {
  if (!old) return;
  const resource = executionAsyncResource() as Record<string, unknown>;
  if ('_onTimeout' in resource)
    Object.assign(resource, { _onTimeout: ignore, _timerArgs: undefined, _repeat: null });
  else if ('_onImmediate' in resource) Object.assign(resource, { _onImmediate: ignore, _argv: undefined });
  else if (Object.getPrototypeOf(resource) === Object.prototype && 'callback' in resource)
    Object.assign(resource, { callback: ignore, args: undefined });
  else if (ends) native.terminate();
}

/** Has Node forget in which callbacks it is, as it does after an error that only the program's last resort has caught. */
function clearAsyncStack(): void {
  process.on('uncaughtException', ignore);
  node._fatalException(undefined);
  process.removeListener('uncaughtException', ignore);
}

/** With the hook: empties the queues of ticks, timers, immediates, and rejections that nobody has handled. */
function dropQueues(): void {
  process.on('unhandledRejection', ignore);
  node._tickCallback();
  native.runAll();
  node._tickCallback();
  process.removeListener('unhandledRejection', ignore);
  // Those that ran when the child was forked, or were to run after it in the same turn, are in no queue any more, but still count.
  const counted = node.getActiveResourcesInfo();
  if (counted.includes('Timeout')) uncount('Timeout', setTimeout(ignore), clearTimeout);
  if (counted.includes('Immediate')) uncount('Immediate', setImmediate(ignore), clearImmediate);
}

/** Brings the number of those that keep the event loop alive down to 0: `one` goes as often as it takes. */
function uncount<T extends { unref(): unknown }>(kind: string, one: T, clear: (one: T) => void): void {
  const counts = Object.getOwnPropertySymbols(one).find(symbol => symbol.description === 'refed');
  one.unref();
  if (counts)
    for (let left = node.getActiveResourcesInfo().filter(name => name === kind).length; left > 0; left--) {
      Object.assign(one, { [counts]: true });
      one.unref();
    }
  clear(one);
}
