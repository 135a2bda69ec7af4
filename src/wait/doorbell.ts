import { words } from '../memory/commons.js';
import { PARTICIPANT, REASON } from '../memory/layout.js';
import { indexOf, record, self } from '../memory/participants.js';
import { native } from '../native/native.js';

/*
 * A thread's doorbell: the one descriptor on its event loop by which anyone in the family wakes it (native/doorbell.c),
 * and the one word on which it sleeps when it blocks. Why it was rung stands in its record, as bits; what there is to
 * do stands in the structures concerned, so a ring too many costs only the look.
 */
type Listener = () => void;

/** What a thread that blocks is to answer, too. */
const PRESSING = REASON.DEATH | REASON.WAKE;

const listeners: { reason: number; listener: Listener }[] = [];
/** Those who are rung by programs of other families too, which cannot say why. */
const others: Listener[] = [];
/** Those who have something to do before this thread sleeps; what they return is after how many ms they must be asked again. */
type Uneasy = () => number | undefined;
const uneasy: Uneasy[] = [];
/** What there are or were listeners for. Other rings wait until somebody listens. */
let heard = 0;
let bell: number | undefined;
let holds = 0;

/** Opens this thread's doorbell. Cheap to call again. */
export function openDoorbell(): void {
  if (bell !== undefined) return;
  const index = indexOf(self());
  native.bellOpen(index, dispatch);
  bell = record(index);
}

/**
 * Calls `listener` on this thread's event loop after each ring for `reason` (bits of REASON). It must look for itself
 * what there is to do, and may find nothing. Returns the way to stop it.
 */
export function onRing(reason: number, listener: Listener): () => void {
  openDoorbell();
  const entry = { reason, listener };
  listeners.push(entry);
  heard |= reason;
  if ((Atomics.load(words, record(indexOf(self())) + PARTICIPANT.REASONS) & reason) !== 0)
    queueMicrotask(dispatch); // it was rung for before anybody listened
  return () => {
    const i = listeners.indexOf(entry);
    if (i >= 0) listeners.splice(i, 1);
  };
}

/** Calls `listener` on this thread's event loop after each ring, whoever rang and why. Returns the way to stop it. */
export function onEveryRing(listener: Listener): () => void {
  openDoorbell();
  others.push(listener);
  return () => {
    const i = others.indexOf(listener);
    if (i >= 0) others.splice(i, 1);
  };
}

/**
 * Calls `listener` whenever this thread is about to sleep in a blocking wait, and each time it is rung while it does: the
 * place to pass on what code that the event loop cannot run now was to receive. It is asked again after as many ms as it
 * returns, if any. Register as your module is loaded.
 */
export function onBlock(listener: Uneasy): void {
  uneasy.push(listener);
}

/** Keeps the event loop alive until as many calls of unhold(). */
export function hold(): void {
  openDoorbell();
  if (holds++ === 0) native.bellHold(1);
}

export function unhold(): void {
  if (--holds === 0) native.bellHold(0);
}

/** The same for as long as `wait` takes: for what is awaited, even if it does not keep the event loop alive by itself. */
export async function holding<T>(wait: Promise<T>): Promise<T> {
  hold();
  try {
    return await wait;
  } finally {
    unhold();
  }
}

/** Wakes the participant with record number `index`. False: it is gone. */
export function ring(index: number, reason: number): boolean {
  return native.ring(index, reason) >= 0;
}

/** Rings this thread's own doorbell, without the way through the kernel: its listeners run in a microtask. */
export function ringSelf(reason: number): void {
  openDoorbell();
  Atomics.or(words, record(indexOf(self())) + PARTICIPANT.REASONS, reason);
  queueMicrotask(dispatch);
}

/** Does now what the rings so far ask for. */
function dispatch(): void {
  if (bell === undefined) return;
  answer(heard);
  if (others.length > 0) for (const listener of others.slice()) listener();
}

/** Ends now those async waits of this thread that have been woken. Their code goes on when this thread's present code ends. */
export function hear(): void {
  answer(heard & REASON.WAKE);
  if (others.length > 0) for (const listener of others.slice()) listener();
}

/** Does now what the rings so far for these reasons ask for. */
function answer(asked: number): void {
  if (bell === undefined) return;
  const reasons = Atomics.and(words, bell + PARTICIPANT.REASONS, ~asked) & asked;
  if (reasons === 0) return;
  for (const { reason, listener } of listeners.slice()) if ((reasons & reason) !== 0) listener();
}

/**
 * For threads that block by other means than blockUntil(), each time before they sleep: does what cannot wait for the event
 * loop. It is to be called again after so many ms.
 */
export function answerBlocked(): number {
  let again = Number.POSITIVE_INFINITY;
  if (bell === undefined) return again;
  do {
    answer(heard & PRESSING);
    if (others.length > 0) for (const listener of others.slice()) listener();
    for (const listener of uneasy) again = Math.min(again, listener() ?? again);
    // What they do may wake other waits of this thread, which ringSelf() would have the event loop see to.
  } while (isToAnswer(bell));
  return again;
}

function isToAnswer(at: number): boolean {
  return (Atomics.load(words, at + PARTICIPANT.REASONS) & heard & PRESSING) !== 0;
}

/**
 * Blocks this thread until `done()` is true, looking anew after each ring. False: `timeout` ms had passed first.
 * Rings for a death are answered in between, as all may depend on it, and for wakes, which may have to be passed on (onBlock());
 * others wait for the event loop.
 */
export function blockUntil(done: () => boolean, timeout = Number.POSITIVE_INFINITY): boolean {
  openDoorbell();
  const at = record(indexOf(self()));
  const deadline = performance.now() + timeout;
  try {
    for (;;) {
      const seen = Atomics.load(words, at + PARTICIPANT.SIGNAL);
      const again = answerBlocked();
      Atomics.store(words, at + PARTICIPANT.SLEEPING, 1); // each time, as a listener may have blocked in between
      if (done()) return true;
      if (isToAnswer(at)) continue; // done() has woken a wait of this thread, perhaps this one: nobody else rings for that
      const left = deadline - performance.now();
      if (left <= 0) return false;
      const sleep = Math.min(left, again);
      native.futexWait(at + PARTICIPANT.SIGNAL, seen, sleep === Number.POSITIVE_INFINITY ? -1 : sleep);
    }
  } finally {
    Atomics.store(words, at + PARTICIPANT.SLEEPING, 0);
  }
}

/** In a process forked in the midst of its parent's life, which is a participant of its own: the same listeners, at a doorbell of its own. */
export function renewDoorbell(): void {
  native.bellClose();
  bell = undefined;
  holds = 0;
  if (listeners.length + others.length > 0) openDoorbell();
}

/** In a forked child: the parent's doorbell is not ours. */
export function forgetDoorbell(): void {
  listeners.length = 0;
  others.length = 0;
  heard = 0;
  bell = undefined;
  holds = 0;
}
