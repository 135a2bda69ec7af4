/*
 * The means of communication between two processes, measured on this machine: how long it takes there and back, and how much
 * goes through. Each figure is taken by two processes of its own, several times, all means in turn; every answer is checked.
 */
import { createRequire } from 'node:module';
import os from 'node:os';
import { cpuCount, EventFlag, Process } from 'manyhands';
import { allMeans, type Load, type MakeEnd, type Means, type Message } from './means.mts';

const args = process.argv.slice(2);
const quick = args.includes('--quick');
const wanted = args.filter(arg => arg !== '--quick'); // parts of names: `pipe Unix`
const rounds = quick ? 1 : 5;
const times = quick ? { warmUp: 2, measured: 5 } : { warmUp: 40, measured: 80 }; // ms

/** What a message is to the sums that answer for its arrival. */
const weigh = (message: Message) =>
  typeof message === 'number' ? message : message.length + message[0] + message[message.length - 1];

const BLOCK = 65_536;
/** One message and its answer; many small ones to one answer; some large ones to one answer. */
const loads = {
  trip: { bytes: 8, batch: 1, weigh },
  small: { bytes: 8, batch: quick ? 100 : 1000, weigh },
  large: { bytes: BLOCK, batch: 16, weigh },
};

/** What one process does: sends batches for so long, and times each from its first message to its answer. In ms. */
async function ask(makeEnd: MakeEnd, { bytes, batch }: Load, contents: boolean) {
  const end = await makeEnd();
  const block = new Uint8Array(bytes);
  const message = (n: number) => {
    if (bytes < BLOCK) return n;
    block[0] = block[BLOCK - 1] = n;
    return block;
  };
  const exchange = async () => {
    let sum = 0;
    for (let n = 1; n <= batch; n++) {
      sum += weigh(message(n));
      const sent = end.send(message(n));
      if (sent instanceof Promise) await sent;
    }
    const received = end.receive();
    const answer = received instanceof Promise ? await received : received;
    const expected = contents ? sum : 1;
    if (answer !== expected) throw new Error(`${answer} came back, not ${expected}`);
  };

  await exchange(); // waits for the other to begin
  const taken: number[] = [];
  const start = performance.now() + times.warmUp;
  for (let now = performance.now(); now < start + times.measured || taken.length === 0; ) {
    const before = now;
    await exchange();
    now = performance.now();
    if (before >= start) taken.push(now - before);
  }
  return { median: median(taken), mean: taken.reduce((sum, ms) => sum + ms, 0) / taken.length };
}

/** What the other does: receives a batch, sends back what it weighed, and again, until it is ended. */
async function answer(makeEnd: MakeEnd, { batch }: Load): Promise<never> {
  const end = await makeEnd();
  for (;;) {
    let sum = 0;
    for (let n = 1; n <= batch; n++) {
      const message = end.receive();
      sum += weigh(message instanceof Promise ? await message : message);
    }
    const sent = end.send(sum);
    if (sent instanceof Promise) await sent;
  }
}

/** One figure, by two processes made for it: none is measured in what another has left behind. */
async function measure({ open, carries }: Means, load: Load) {
  const { asker, answerer, close } = await open(load);
  const one = new Process({ target: ask, args: [asker, load, carries === 'block'], daemon: true }).start();
  const other =
    answerer && new Process({ target: answer, args: [answerer, load], daemon: true, stdio: 'ignore' });
  try {
    return await Promise.race([one.result(), ...(other ? [other.start().result()] : [])]);
  } finally {
    for (const side of [one, other]) await side?.[Symbol.asyncDispose](); // ends it
    await close?.();
  }
}

/** How many of so many signals in a row the other side hears. */
async function signalsHeard(sent: number) {
  const ready = new EventFlag();
  const listen = async () => {
    let heard = 0;
    process.on('SIGUSR2', () => heard++);
    const end = new Promise(resolve => process.once('SIGTERM', resolve));
    const stay = setInterval(() => {}, 60_000);
    ready.set();
    await end;
    clearInterval(stay);
    return heard;
  };
  const listener = new Process({ target: listen }).start();
  await ready.wait();
  for (let n = 0; n < sent; n++) process.kill(listener.pid as number, 'SIGUSR2');
  listener.terminate();
  return await listener.result();
}

const median = (values: number[]) => {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};
const digits = (n: number) => n.toFixed(n < 9.95 ? 1 : 0);
const time = (ms: number) => (ms < 1 ? `${digits(ms * 1000)} µs` : `${digits(ms)} ms`);
const amount = (n: number) => {
  const power = Math.min(Math.floor(Math.log10(n) / 3), 3);
  return `${digits(n / 1000 ** power)} ${['', 'k', 'M', 'G'][power]}`;
};

// ── all means in turn, and again

const table = allMeans()
  .filter(({ name }) => wanted.length === 0 || wanted.some(word => name.includes(word)))
  .map(means => ({ means, trip: [] as number[], small: [] as number[], large: [] as number[] }));
for (let round = 1; round <= rounds; round++) {
  for (const { means, trip, small, large } of table) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[Kround ${round} of ${rounds}: ${means.name}`);
    const rate = async (load: Load) => (load.batch / (await measure(means, load)).mean) * 1000;
    trip.push((await measure(means, loads.trip)).median);
    if (means.carries !== 'news') small.push(await rate(loads.small)); // news can only go one by one
    if (means.carries === 'block') large.push(await rate(loads.large));
  }
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');

const SENT = 1000;
const heard = await signalsHeard(SENT);
const { version } = createRequire(import.meta.url)('manyhands/package.json');
const [load] = os.loadavg();

console.log(`${os.cpus()[0]?.model.trim()}, ${cpuCount()} of its cores, Linux ${os.release()}`);
console.log(
  `Node ${process.version}, manyhands ${version}; medians of ${rounds} round${rounds === 1 ? '' : 's'}`,
);
if (load > cpuCount())
  console.log(`The machine is busy (load ${load.toFixed(1)}): others are in these figures, too.`);
console.log();

const widths = [28, 14, 16, 14, 12];
const print = (...cells: string[]) =>
  console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(''));
print('means', 'there and back', 'of all rounds', 'messages/s', 'bytes/s');
for (const { means, trip, small, large } of table)
  print(
    means.name,
    time(median(trip)),
    `${digits(Math.min(...trip) * 1000)} … ${digits(Math.max(...trip) * 1000)}`,
    small.length > 0 ? amount(median(small)) : '–',
    large.length > 0 ? `${amount(median(large) * BLOCK)}B` : '–',
  );
console.log(`
there and back  a number goes to the other process, a number comes back: the median of all trips of a round,
                of that the median of all rounds, then the least and the most of all rounds in µs
messages/s      ${loads.small.batch} numbers in a row, one by one, then one answer for all of them
bytes/s         ${loads.large.batch} blocks of 64 KiB in a row, then one answer
Each side is a process of its own, and every answer has been checked: all that was sent had arrived.
But signals are not counted: of ${SENT} sent in a row, ${heard} were heard.`);

// Output of --quick async method signal watched:
// … of its cores, Linux …
// Node v…, manyhands …; medians of 1 round
// …
// means                       there and back   of all rounds    messages/s     bytes/s
// pipe, async … …B
// queue, async … …B
// shared memory, watched … …B
// manager, object's method … …B
// signal … –…–
// semaphore, async … –
// socket, Unix, async … …B
// socket, TCP, async … …B
//
// …
// Each side is a process of its own, and every answer has been checked: all that was sent had arrived.
// But signals are not counted: of 1000 sent in a row, … were heard.
