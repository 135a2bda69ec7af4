import { words } from '../memory/commons.js';
import { HEADER, PARTICIPANT, PARTICIPANT_STATE, REASON } from '../memory/layout.js';
import { giveBack, indexOf, isAlive, isKnownDead, record, self, tagOf } from '../memory/participants.js';
import { native } from '../native/native.js';
import { afterDeaths, watchDeaths } from '../wait/deaths.js';
import { onBlock, ring } from '../wait/doorbell.js';
import { onFork } from '../wait/forks.js';

/*
 * Who notices the death of a process that fork() has made. Its parent does, which waits for it; but if that has died itself, the
 * kernel has somebody wait for it who knows nothing of the family. Nor does anybody wait for a program that was started from a
 * shell, and its forks may be all that is left.
 *
 * So a fork and who is answerable for it watch each other. That is first its parent: KIN in its participant record. When
 * that is known to be dead, each of the family who hears of it looks for its forks, and the first to come becomes answerable for them
 * and rings them, so that they watch it in turn. So all that live are held together by watching, and of any number that die at
 * once, those next to the living are noticed, then those next to them.
 */

/** How often to look where the kernel does not tell (before Linux 5.3), or while this thread blocks, ms. */
const LOOK_EVERY = 50;

/** Those watched, by their tags: one thread of each process. */
const watched = new Map<number, number>();
let looking: NodeJS.Timeout | undefined;

function watch(tag: number): void {
  if (watched.has(tag) || isKnownDead(tag)) return;
  const pid = words[record(indexOf(tag)) + PARTICIPANT.PID];
  if (pid === process.pid) return;
  watched.set(tag, pid);
  try {
    native.watchProcess(pid, look);
  } catch {
    looking ??= setInterval(look, LOOK_EVERY).unref();
  }
  if (!isAlive(tag)) look(); // it had ended before
}

/** Sees who of those watched has ended, and tells all. */
function look(): void {
  for (const [tag, pid] of watched) {
    if (isAlive(tag)) continue;
    watched.delete(tag);
    noteEnd(pid);
  }
  if (watched.size > 0) return;
  clearInterval(looking);
  looking = undefined;
}

/** Process `pid` has ended; that number may be another's by now. */
function noteEnd(pid: number): void {
  const used = Atomics.load(words, HEADER.PARTICIPANTS_USED);
  for (let index = 1; index < used; index++) {
    const at = record(index);
    if (Atomics.load(words, at + PARTICIPANT.PID) !== pid) continue;
    const state = Atomics.load(words, at + PARTICIPANT.STATE);
    if (state === PARTICIPANT_STATE.LIVE && !isAlive(tagOf(index))) native.tellDeath(tagOf(index));
    if (state === PARTICIPANT_STATE.LEFT && native.processStat(pid) === undefined) giveBack(index);
  }
}

/** Becomes answerable for forks for which nobody is any more; watches who is answerable for this one. */
function seeToForks(): void {
  const used = Atomics.load(words, HEADER.PARTICIPANTS_USED);
  for (let index = 1; index < used; index++) {
    const at = record(index);
    const kin = Atomics.load(words, at + PARTICIPANT.KIN);
    if (kin === 0 || Atomics.load(words, at + PARTICIPANT.STATE) !== PARTICIPANT_STATE.LIVE) continue;
    if (Atomics.load(words, at + PARTICIPANT.PID) === process.pid) watch(kin);
    else if (isKnownDead(kin) && Atomics.compareExchange(words, at + PARTICIPANT.KIN, kin, self()) === kin) {
      ring(index, REASON.DEATH);
      watch(tagOf(index));
    }
  }
}

afterDeaths(seeToForks);

onBlock(() => {
  if (watched.size === 0) return undefined;
  look();
  return LOOK_EVERY;
});

onFork(() => {
  if (native.arenaFd() < 0) return undefined; // there is no family
  const parent = self();
  watchDeaths();
  return {
    take: () => {
      native.dropWatches();
      clearInterval(looking);
      looking = undefined;
      watched.clear();
      Atomics.store(words, record(indexOf(self())) + PARTICIPANT.KIN, parent);
      watch(parent);
    },
  };
});
