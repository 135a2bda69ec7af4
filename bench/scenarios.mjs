/** The rows; rows/words.mjs says what they are written in, and more rows are beside it. */
import { poolRows } from './rows/pools.mjs';
import { storeRows } from './rows/stores.mjs';
import { better, node, ours, python, reach } from './rows/words.mjs';

/** Who takes turns under 2, 8 and 64: a process for each, or two processes with an even share of async tasks. */
function fairnessContenders(parties) {
  const alone = ours(`manyhands, ${parties} processes, blocking`, { processes: parties, sync: true });
  const shared = ours(`manyhands, 2 processes × ${parties / 2} async`, { processes: 2, tasks: parties / 2 });
  return [
    ...(parties > 8 ? [shared, alone] : [alone, shared]),
    python(`CPython Lock, ${parties} processes`, { processes: parties }),
  ];
}

/** One producer and one consumer unless `pairs` says otherwise, in two processes. */
const flow = { unit: 'k/s', better: 'higher', measure: 'stream', columns: ['behind'] };
const cpythonQueues = maxsize => [
  python('CPython Queue', { of: 'Queue', maxsize }),
  python('CPython SimpleQueue', { of: 'SimpleQueue' }),
];
const flowNote =
  'behind: ms that the consumers took to get what was left when the producers had stopped; they count.';

const channelRows = [
  ...[
    ['sync', 'one at a time, blocking', [reach(1_000), better(5, /^CPython/, "the best of CPython's")]],
    ['async', 'one at a time, async', [reach(500), better(1, /./, 'the best peer')]],
    ['many', '100 at a time, async', [reach(2_000), better(4, /./, 'the best peer, one at a time')]],
  ].map(([form, words, targets]) => ({
    ...flow,
    id: `queue-small-${form}`,
    title: `Queue: numbers from one process to another, ${words}`,
    options: { ms: 1_000, item: 'number' },
    contenders: [
      ours('manyhands', { of: 'Queue', form }),
      ours('manyhands, at most 1,024 held', { of: 'Queue', form, maxsize: 1_024 }),
      ...cpythonQueues(),
      node('process.send', 'peer', {}),
      node('MessagePort, between threads', 'floor', { kind: 'thread' }),
    ],
    targets,
    note: `${flowNote} Peers put one at a time.`,
  })),
  {
    ...flow,
    id: 'queue-object',
    title: 'Queue: small objects from one process to another',
    options: { ms: 1_000, item: 'object' },
    contenders: [
      ours('manyhands, blocking', { of: 'Queue', form: 'sync' }),
      ours('manyhands, async', { of: 'Queue', form: 'async' }),
      ours('manyhands, 100 at a time', { of: 'Queue', form: 'many' }),
      ...cpythonQueues(),
      node('process.send', 'peer', {}),
    ],
    targets: [],
    note: '{ id, name, done }: a number, 12 letters, a boolean.',
  },
  {
    ...flow,
    id: 'queue-small-4to4',
    title: 'Queue: numbers from 4 processes to 4 others',
    options: { ms: 1_000, item: 'number', pairs: 4 },
    contenders: [
      ours('manyhands, blocking', { of: 'Queue', form: 'sync' }),
      ours('manyhands, async', { of: 'Queue', form: 'async' }),
      ours('manyhands, 100 at a time', { of: 'Queue', form: 'many' }),
      ...cpythonQueues(),
    ],
    targets: [better(4, /./, "the best of CPython's")],
    note: flowNote,
  },
  {
    ...flow,
    id: 'queue-small-threads',
    title: 'Queue: numbers from one thread to another',
    options: { ms: 1_000, item: 'number', kind: 'thread' },
    contenders: [
      ours('manyhands, blocking', { of: 'Queue', form: 'sync' }),
      ours('manyhands, async', { of: 'Queue', form: 'async' }),
      ours('manyhands, 100 at a time', { of: 'Queue', form: 'many' }),
      node('MessagePort', 'peer', {}),
      python('CPython queue.Queue', { of: 'queue.Queue' }),
      python('CPython queue.SimpleQueue', { of: 'queue.SimpleQueue' }),
    ],
    targets: [],
    note: "CPython's queues of threads pass a reference within one process, under its interpreter lock.",
  },
  {
    ...flow,
    id: 'queue-64k',
    title: 'Queue: 64 KiB of bytes an item, from one process to another',
    unit: 'GB/s',
    measure: 'bytesStream',
    options: { ms: 1_000, size: 65_536 },
    columns: ['rate', 'behind'],
    contenders: [
      ours('manyhands, blocking', { of: 'Queue', form: 'sync' }),
      ours('manyhands, async', { of: 'Queue', form: 'async' }),
      ours('manyhands, blocking, at most 64 held', { of: 'Queue', form: 'sync', maxsize: 64 }),
      ours('manyhands Pipe, blocking', { of: 'Pipe', form: 'pipe, sync' }),
      ...cpythonQueues(256),
      python('CPython Pipe, bytes', { of: 'Pipe, bytes' }),
      node('process.send', 'peer', {}),
      node('MessagePort, between threads', 'floor', { kind: 'thread' }),
    ],
    targets: [reach(2.5), better(1.5, /./, 'the best peer')],
    note: "rate: k items/s. CPython's Queue holds 256 at most: more than its consumer can take in time are put otherwise.",
  },
  ...['one core', 'anywhere'].flatMap(where => tripRows(where)),
];

/** Both sides on one core, or wherever the kernel puts them: docs/benchmarks.md says why. */
function tripRows(where) {
  const row = {
    oneCore: where === 'one core',
    unit: 'µs',
    better: 'lower',
    measure: 'pingPong',
    columns: ['p99'],
  };
  const place = where === 'one core' ? 'on one core' : 'wherever the kernel puts them';
  const id = name => (where === 'one core' ? name : `${name}-anywhere`);
  const cpython = cpythonQueues();
  const pipe = python('CPython Pipe', { of: 'Pipe' });
  const send = node('process.send', 'peer', { kind: 'process' });
  return [
    {
      ...row,
      id: id('queue-latency-sync'),
      title: `Two queues: an item there and back between two processes, blocking, ${place}`,
      options: { ms: 500 },
      contenders: [ours('manyhands', { of: 'Queue' }), ...cpython],
      targets: [better(2, /./, "the best of CPython's")],
    },
    {
      ...row,
      id: id('queue-latency-async'),
      title: `Two queues: an item there and back between two processes, async, ${place}`,
      options: { ms: 500 },
      contenders: [ours('manyhands', { of: 'Queue, async' }), ...cpython, send],
      targets: [better(1, /^process/, 'process.send')],
    },
    {
      ...row,
      id: id('pipe-pingpong-sync'),
      title: `Pipe: a number there and back between two processes, blocking, ${place}`,
      options: { ms: 500 },
      contenders: [ours('manyhands', { of: 'Pipe' }), pipe],
      targets: [reach(15), better(2, /./, "CPython's")],
    },
    {
      ...row,
      id: id('pipe-pingpong-async'),
      title: `Pipe: a number there and back between two processes, async, ${place}`,
      options: { ms: 500 },
      contenders: [ours('manyhands', { of: 'Pipe, async' }), pipe, send],
      targets: [reach(40), better(1, /^process/, 'process.send')],
    },
    {
      ...row,
      id: id('pipe-bytes'),
      title: `Pipe: 64 bytes there and back between two processes, ${place}`,
      options: { ms: 500, size: 64 },
      contenders: [
        ours('manyhands sendBytes, async', { of: 'Pipe, bytes' }),
        python('CPython send_bytes, blocking', { of: 'Pipe, bytes' }),
        send,
      ],
      targets: [],
    },
  ];
}

export const scenarios = [
  {
    id: 'start',
    title: 'Start a process, run an empty function, join it',
    unit: 'ms',
    better: 'lower',
    measure: 'lifecycle',
    options: { ms: 1_200 },
    columns: ['p99'],
    contenders: [
      ours('manyhands forkserver', { method: 'forkserver' }),
      ours('manyhands forkserver, joinSync', { method: 'forkserver', sync: true }),
      ours('manyhands forkserver, imported', { method: 'forkserver', target: 'imported' }),
      ours('manyhands spawn', { method: 'spawn' }),
      { ...ours('manyhands fork', { method: 'fork' }), execArgv: ['--single-threaded'] },
      node('child_process.fork', 'peer', {}),
      python('CPython fork', { method: 'fork' }),
      python('CPython forkserver', { method: 'forkserver' }),
      python('CPython spawn', { method: 'spawn' }),
      node('spawn of /bin/true', 'floor', { program: '/bin/true' }),
    ],
    targets: [
      better(10, /^child_process/, 'child_process.fork'),
      better(6, /^CPython forkserver/, "CPython's forkserver"),
      better(1, /^CPython fork$/, "CPython's fork"),
    ],
    note:
      'The function is written where it is started, and crosses by value; "imported": it stands in an ES module that each\n' +
      'child has to import first. CPython joins by blocking, as joinSync does.',
  },
  {
    id: 'fork',
    title: 'fork(), _exit(), waitpid()',
    unit: 'ms',
    better: 'lower',
    measure: 'lifecycle',
    options: { ms: 1_200, method: 'os.fork' },
    columns: ['p99'],
    contenders: [
      { ...ours('manyhands', {}), execArgv: ['--single-threaded'] },
      python('CPython', {}),
      node('spawn of /bin/true', 'floor', { program: '/bin/true' }),
    ],
    targets: [],
    note: "Most of it is the kernel's copying of page tables: Node's process is five times as large as CPython's.",
  },
  {
    id: 'start-thread',
    title: 'Start a thread, run an empty function, join it',
    unit: 'ms',
    better: 'lower',
    measure: 'threads',
    options: { pause: 200, count: 30 },
    columns: ['p99'],
    contenders: [
      ours('manyhands', {}),
      ours('manyhands, joinSync', { sync: true }),
      ours('manyhands, a new Worker each', { reserve: false }),
      node('Worker', 'peer', {}),
      python('CPython thread', {}),
    ],
    targets: [reach(2)],
    note:
      'One every 200 ms, so that a Worker waits for each of ours, except for those with limits, which begin in a new one. A bare\n' +
      'Worker runs an empty file: it loads no library and is given no function.',
  },
  {
    id: 'start-500',
    title: '500 in a row: the last 100 beside the first 100',
    unit: '×',
    better: 'lower',
    measure: 'inARow',
    options: { count: 500 },
    columns: ['first', 'last'],
    rounds: 1,
    contenders: [
      ours('manyhands forkserver', { method: 'forkserver' }),
      python('CPython fork', { method: 'fork' }),
    ],
    targets: [reach(1.2)],
    note: 'first and last in ms.',
  },
  {
    id: 'alive-500',
    title: '500 alive at once: until all of them run',
    unit: 'ms',
    better: 'lower',
    measure: 'aliveAtOnce',
    options: { count: 500 },
    columns: ['gone', 'pss'],
    rounds: 1,
    contenders: [ours('manyhands forkserver', {}), python('CPython fork', { method: 'fork' })],
    targets: [],
    note:
      'gone: ms from the first signal until the last was reaped; pss: MiB each. child_process.fork is left out: 500 of its\n' +
      'children would want some 7 GiB and a quarter of a minute.',
  },
  {
    id: 'memory',
    title: 'Memory of an idle child, 8 alive at once',
    unit: 'MiB',
    better: 'lower',
    measure: 'idleMemory',
    options: { count: 8 },
    columns: ['uss', 'rss', 'withServer'],
    contenders: [ours('manyhands forkserver', {}), node('child_process.fork', 'peer', {})],
    targets: [reach(4)],
    note: 'Proportional memory; withServer: of all processes but the parent, the fork server too, divided by 8.',
  },
  ...poolRows,
  {
    id: 'lock-free',
    title: 'Lock and unlock, nobody else wanting it',
    unit: 'ns',
    better: 'lower',
    measure: 'repeat',
    options: { ms: 300 },
    columns: ['p99'],
    contenders: [
      ours('manyhands Lock, blocking', { of: 'Lock' }),
      ours('manyhands RLock, blocking', { of: 'RLock' }),
      ours('manyhands Lock, async', { of: 'Lock, async' }),
      python('CPython multiprocessing.Lock', { of: 'multiprocessing.Lock' }),
      python('CPython multiprocessing.RLock', { of: 'multiprocessing.RLock' }),
      python('CPython threading.Lock', { of: 'threading.Lock' }),
      python('CPython threading.RLock', { of: 'threading.RLock' }),
      node('Atomics.compareExchange, twice', 'floor', { of: 'compareExchange pair' }),
    ],
    targets: [reach(60)],
    note: "CPython's locks of threads work within one process only.",
  },
  {
    id: 'lock-contended',
    title: 'Lock and unlock, 2 processes at once, pairs of both',
    unit: 'M/s',
    better: 'higher',
    measure: 'contention',
    options: { ms: 500, processes: 2 },
    columns: ['least', 'longest'],
    contenders: [
      ours('manyhands Lock, blocking', { sync: true }),
      ours('manyhands Lock, async', {}),
      python('CPython Lock', {}),
      { name: 'lmdb, empty transaction', role: 'peer', module: 'lmdb', options: {} },
      { name: 'lmdb, one number written', role: 'peer', module: 'lmdb', options: { written: true } },
      { name: 'proper-lockfile', role: 'peer', module: 'proper-lockfile', options: { batch: 1 } },
      node('a file by O_EXCL', 'peer', { batch: 1 }),
    ],
    targets: [reach(4)],
    note:
      'least: what the worse served of the two got, % of an even share; longest: ms that one of them took for 100 pairs\n' +
      '(a file: for one). lmdb: write transactions, without a sync to the disk.',
  },
  ...[2, 8, 64].map(parties => ({
    id: `lock-fairness-${parties}`,
    title: `The longest wait of anyone, ${parties} contenders that keep the lock for 5 µs each time`,
    unit: 'ms',
    better: 'lower',
    measure: 'fairness',
    // The more processes there are, the longer until each has had its code compiled, in its own time.
    options: { ms: 1_000, hold: 5, warmUp: 250 + parties * 20 },
    columns: ['rate', 'least'],
    contenders: fairnessContenders(parties),
    targets: [reach(100)],
    note: 'rate: k pairs/s of all; least: what the worst served got, % of an even share.',
  })),
  {
    id: 'semaphore-free',
    title: 'Semaphore: acquire and release, nobody else wanting it',
    unit: 'ns',
    better: 'lower',
    measure: 'repeat',
    options: { ms: 300 },
    columns: ['p99'],
    contenders: [
      ours('manyhands', { of: 'Semaphore' }),
      python('CPython multiprocessing.Semaphore', { of: 'multiprocessing.Semaphore' }),
    ],
    targets: [],
  },
  {
    id: 'value-locked',
    title: 'Value += 1 under its lock, nobody else wanting it',
    unit: 'ns',
    better: 'lower',
    measure: 'repeat',
    options: { ms: 300, type: 'i' },
    columns: ['p99'],
    contenders: [
      ours('manyhands, acquireSync', { of: 'Value under its lock' }),
      ours('manyhands, runExclusiveSync', { of: 'Value in runExclusiveSync' }),
      python('CPython', { of: 'Value under its lock' }),
    ],
    targets: [reach(200)],
  },
  {
    id: 'value-add',
    title: 'Value.add(1)',
    unit: 'ns',
    better: 'lower',
    measure: 'repeat',
    options: { ms: 300 },
    columns: ['p99'],
    contenders: [
      ...['i', 'q', 'd'].map(type => ours(`manyhands '${type}'`, { of: 'Value.add', type })),
      python("CPython 'i', += 1 under its lock", { of: 'Value under its lock', type: 'i' }),
      node('Atomics.add', 'floor', { of: 'add' }),
    ],
    targets: [reach(60)],
    note: "'q' is added to with 1n. CPython's Value has no step of its own that is atomic.",
  },
  ...channelRows,
  ...storeRows,
  ...[
    ['event', 'EventFlag', 'Event'],
    ['condition', 'Condition', 'Condition'],
  ].map(([id, own, theirs]) => ({
    id: `trip-${id}`,
    title: `Two processes that wake one another by ${own}, there and back, blocking, on one core`,
    oneCore: true,
    unit: 'µs',
    better: 'lower',
    measure: 'pingPong',
    options: { ms: 400 },
    columns: ['p99'],
    contenders: [ours('manyhands', { of: own }), python('CPython', { of: theirs })],
    targets: [],
  })),
];

export const soak = {
  id: 'soak',
  title: '10,000 started and joined, one after the other',
  unit: '×',
  better: 'lower',
  measure: 'soak',
  options: { count: 10_000, every: 1_000, method: 'forkserver' },
  columns: ['grown', 'opened', 'zombies'],
  rounds: 1,
  limit: 300_000,
  contenders: [ours('manyhands forkserver', {})],
  targets: [reach(1.2)],
  note:
    'The last 1,000 beside the first, each over the spawn of /bin/true in its time. grown: MiB; opened: descriptors.\n' +
    'Below, after each 1,000, sums over the parent and all its helpers; MiB without what is mapped from files.',
};
