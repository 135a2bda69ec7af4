import { freeAllOf } from '../memory/allocator.js';
import { words } from '../memory/commons.js';
import { HEADER, PARTICIPANT, PARTICIPANT_STATE, REASON, WAITING } from '../memory/layout.js';
import { giveBack, record, tagOf } from '../memory/participants.js';
import { tryLock, unlock } from '../memory/robust-lock.js';
import { native } from '../native/native.js';
import { onRing } from './doorbell.js';
import { clearLines } from './line.js';

/*
 * What is done about the dead. Whoever learns of a thread's end makes its record DEAD and rings everyone; whoever is
 * rung sweeps: one at a time gives back, layer by layer, what the dead one had, and its record last. A sweeper that
 * dies over it leaves the record DEAD, and all of it is done again by the next: its own death rings everyone, too.
 */

/** Gives back what the thread with this tag had. It may have been done before, wholly or in part. It must not wait. */
export type Sweeper = (tag: number) => void;

const SWEEP_LOCK = WAITING;

const sweepers: Sweeper[] = [];
const followers: (() => void)[] = [];
let watching = false;

/**
 * Has `sweeper` called for each death, after those registered before it; the memory of the dead is freed after all
 * of them. Register as your module is loaded, in all programs of the family: any of them may be the one that sweeps.
 */
export function onDeath(sweeper: Sweeper): void {
  sweepers.push(sweeper);
}

/** Has `follower` called after each ring for a death, in all threads that hear them. Register as your module is loaded. */
export function afterDeaths(follower: () => void): void {
  followers.push(follower);
}

/** Sweeps after deaths from now on, on this thread's doorbell. Cheap to call again. */
export function watchDeaths(): void {
  if (watching) return;
  watching = true;
  onRing(REASON.DEATH, () => {
    sweepDead();
    native.dropBells();
    for (const follower of followers) follower();
  });
}

/** Sweeps after all that are known to be dead, unless another thread is doing so. */
export function sweepDead(): void {
  // Who dies while we sweep may be rung for to those who find us at it and leave: so look again when done.
  while (firstDead() !== 0) {
    if (!tryLock(SWEEP_LOCK)) return;
    try {
      for (let index = firstDead(); index !== 0; index = firstDead()) {
        sweep(tagOf(index));
        giveBack(index);
      }
    } finally {
      unlock(SWEEP_LOCK);
    }
  }
}

function firstDead(): number {
  const used = Atomics.load(words, HEADER.PARTICIPANTS_USED);
  for (let index = 1; index < used; index++)
    if (Atomics.load(words, record(index) + PARTICIPANT.STATE) === PARTICIPANT_STATE.DEAD) return index;
  return 0;
}

/** Gives back all that the thread with this tag has. */
export function sweep(tag: number): void {
  clearLines(tag);
  for (const sweeper of sweepers) sweeper(tag);
  freeAllOf(tag);
}

/** Has all who wait, in all threads, look whether it can still come, as after a death: something else was lost. */
export function haveAllLook(): void {
  Atomics.add(words, HEADER.DEATHS, 1);
  native.ringAll(REASON.DEATH);
}

/** How often there was reason to look. */
export function countOfDeaths(): number {
  return Atomics.load(words, HEADER.DEATHS);
}

/** In a forked child: the doorbell that was listened to is the parent's. */
export function forgetDeaths(): void {
  watching = false;
}
