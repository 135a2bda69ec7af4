/*
 * What waiting costs: `node bench/wait.mjs [folder of the build]`. Prints the median of several rounds.
 *
 *   wake, nobody waits      the fast path of everything that may have to wake somebody
 *   ping-pong               from one process to another and back, both waiting in the same form; the floor is the same
 *                           with bare futex calls, nothing of ours between
 *   10,000 waits            async ones of one thread, at one word
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const file = fileURLToPath(import.meta.url);
const dist = path.resolve(process.argv[2] ?? path.join(path.dirname(file), '..', 'dist'));
const require = createRequire(file);
const load = name => require(path.join(dist, name));
const { native } = load('native/native.js');
const commons = load('memory/commons.js');
const { allocate, offsetOf, FAMILY } = load('memory/allocator.js');
const { self } = load('memory/participants.js');
const { park, parkSync } = load('wait/park.js');
const { wake, wakeAll } = load('wait/line.js');

const WARM_UP = 2_000;
const TRIPS = 20_000;

/** Each waits until the word says that it is its turn, and then makes it the other's. */
const forms = {
  async async(word, me, rounds) {
    for (let i = 0; i < rounds; i++) {
      while (Atomics.load(commons.words, word) !== me) await park(word, 1 - me);
      Atomics.store(commons.words, word, 1 - me);
      wake(word);
    }
  },
  blocking(word, me, rounds) {
    for (let i = 0; i < rounds; i++) {
      while (Atomics.load(commons.words, word) !== me) parkSync(word, 1 - me);
      Atomics.store(commons.words, word, 1 - me);
      wake(word);
    }
  },
  futex(word, me, rounds) {
    for (let i = 0; i < rounds; i++) {
      while (Atomics.load(commons.words, word) !== me) native.futexWait(word, 1 - me, -1);
      Atomics.store(commons.words, word, 1 - me);
      native.futexWake(word, 1);
    }
  },
};

if (process.send) {
  process.once('message', async ({ bytes, word, form }) => {
    commons.join(3, bytes);
    self();
    await forms[form](word, 1, WARM_UP + TRIPS);
    process.disconnect();
  });
} else {
  self();
  const word = offsetOf(allocate(16, { owner: FAMILY })) / 4;
  report('wake, nobody waits', wakeNobody(word), 'ns');
  for (const form of Object.keys(forms)) report(`ping-pong, ${form}`, await pingPong(form), 'µs');
  const many = await manyWaits(word);
  report('10,000 waits: enter', many.enter, 'ms');
  report('10,000 waits: wake', many.wake, 'ms');
  report('10,000 waits: all have gone on', many.all, 'ms');
}

function report(name, value, unit) {
  console.log(`${name.padEnd(36)}${value.toFixed(1).padStart(8)} ${unit}`);
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

function wakeNobody(word) {
  const rounds = Array.from({ length: 7 }, () => {
    const start = performance.now();
    for (let i = 0; i < 2e6; i++) wake(word);
    return ((performance.now() - start) * 1e6) / 2e6;
  });
  return median(rounds);
}

async function pingPong(form) {
  const word = offsetOf(allocate(16, { owner: FAMILY })) / 4;
  const peer = spawn(process.execPath, [file, dist], {
    stdio: ['ignore', 'inherit', 'inherit', native.arenaFd(), 'ipc'],
  });
  const exited = once(peer, 'exit');
  await new Promise(sent => peer.send({ bytes: native.arenaBytes(), word, form }, sent));
  await forms[form](word, 0, WARM_UP);
  const start = performance.now();
  await forms[form](word, 0, TRIPS);
  const time = performance.now() - start;
  await exited;
  native.bury(peer.pid);
  return (time * 1e3) / TRIPS;
}

async function manyWaits(word) {
  const rounds = [];
  for (let i = 0; i < 7; i++) {
    const start = performance.now();
    const waits = Array.from({ length: 10_000 }, () => park(word, 0));
    const entered = performance.now();
    wakeAll(word);
    const woken = performance.now();
    await Promise.all(waits);
    rounds.push({ enter: entered - start, wake: woken - entered, all: performance.now() - entered });
  }
  const of = key => median(rounds.map(round => round[key]));
  return { enter: of('enter'), wake: of('wake'), all: of('all') };
}
