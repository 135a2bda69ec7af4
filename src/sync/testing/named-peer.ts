import { native } from '../../native/native.js';
import { answerCalls } from '../../testing/programs.js';
import { depart } from '../../wait/depart.js';
import { type Named, openNamed } from '../named.js';
import { hold, type TestLock } from './named-lock.js';

/* An unrelated program for tests, which uses words that have a name. */
const WORDS = 16;
const opened = new Map<string, Named>();

const acts = {
  open: (name: string, kind = 'test') => {
    const named = openNamed(kind, name, WORDS, (words, at) => {
      words[at] = 0;
      words[at + 15] = native.processId(); // who made it
    });
    opened.set(name, named);
    return { tag: named.home.self(), maker: named.home.words[named.at + 15] };
  },
  close: (name: string) => the(name).close(),
  load: (name: string, i: number) => Atomics.load(the(name).home.words, the(name).at + i),
  store: (name: string, i: number, value: number) =>
    Atomics.store(the(name).home.words, the(name).at + i, value),
  wake: (name: string, i: number, count: number) => the(name).home.wake(the(name).at + i, count),
  park: (name: string, i: number, expected: number, timeout?: number) =>
    the(name).home.park(the(name).at + i, expected, timeout === undefined ? {} : { timeout }),
  parkSync: (name: string, i: number, expected: number, timeout?: number) =>
    the(name).home.parkSync(the(name).at + i, expected, timeout === undefined ? {} : { timeout }),
  /** Takes the lock for the inside of an object, and keeps it. */
  lock: (name: string, i: number) => the(name).home.lock(the(name).at + i, () => {}),
  hammer: (name: string, lock: TestLock) => hold(the(name), lock),
  self: (name: string) => the(name).home.self(),
  depart: () => depart({ last: false }),
};

function the(name: string): Named {
  const named = opened.get(name);
  if (!named) throw new Error(`not open: ${name}`);
  return named;
}

export type Act = keyof typeof acts;
answerCalls(acts);
