/** The rows about pools. */
import { better, node, ours, reach } from './words.mjs';

const peers = {
  process: ['workerpool', 'worker-farm', 'worker-nodes', 'jest-worker', 'bthreads', 'poolifier', 'tinypool'],
  thread: ['piscina', 'tinypool', 'workerpool', 'worker-nodes', 'jest-worker', 'bthreads', 'poolifier'],
};
const bare = { process: 'bare process.send', thread: 'bare MessagePort' };
const cpython = {
  process: { pool: 'Pool', executor: 'ProcessPoolExecutor' },
  thread: { pool: 'ThreadPool', executor: 'ThreadPoolExecutor' },
};
const KINDS = ['process', 'thread'];
const plural = { process: 'processes', thread: 'threads' };

const peer = (name, options) => ({ name, role: 'peer', module: name, options });
const python = (name, options) => ({
  name: `CPython ${name}`,
  role: 'peer',
  module: 'cpython_pools',
  options,
});
const pythonPool = (kind, method) => python(`${cpython[kind].pool}.${method}`, { of: cpython[kind].pool });
const pythonExecutor = (kind, method) =>
  python(`${cpython[kind].executor}.${method}`, { of: cpython[kind].executor });

/** Ours, all of npm's and the bare channel, and between them those of CPython. */
function all(kind, ofCpython = []) {
  return [
    ours('manyhands', { kind }),
    ...peers[kind].map(name => peer(name, { kind })),
    ...ofCpython,
    node(bare[kind], 'floor', { kind }),
  ];
}

const applying = kind => [
  pythonPool(kind, 'apply'),
  ...(kind === 'thread' ? [pythonExecutor(kind, 'submit')] : []),
];
const submitting = kind => [pythonPool(kind, 'apply_async'), pythonExecutor(kind, 'submit')];

const cpuNote = {
  process: 'cpu: µs of the calling process a task; cpu all: of all processes that take part.',
  thread: 'cpu: µs of the calling thread a task; cpu all: of the whole process, its workers too.',
};

const tripTargets = {
  process: [reach(30), better(2, /./, 'the best process pool')],
  thread: [reach(20)],
};
const rateTargets = {
  process: [reach(300), better(3, /./, 'the best process pool')],
  thread: [reach(400), better(2, /^(?!CPython)/, 'the best thread pool on npm')],
};

/** With one worker on one core, which is the cost of the code, and with two wherever the kernel puts them. */
function trip(kind, workers, id) {
  const oneCore = workers === 1;
  const count = oneCore ? `1 ${kind}` : `${workers} ${plural[kind]}`;
  return {
    id,
    title: `Pool round trip, one at a time, ${count}, ${oneCore ? 'on one core' : 'wherever the kernel puts them'}`,
    oneCore,
    unit: 'µs',
    better: 'lower',
    measure: 'roundTrip',
    options: { ms: 400, workers },
    columns: ['p99', 'cpu all'],
    contenders: all(kind, applying(kind)),
    targets: tripTargets[kind],
    note: 'cpu all: µs of CPU time a task, of all processes and threads; what looks out for the next task is in it.',
  };
}

function rate(kind, { id = `rate-${kind}`, what, options = {}, contenders, targets = [], note = '' }) {
  return {
    id,
    title: `Pool throughput, ${what}, 2 ${plural[kind]}, 1,024 in flight, one task a call`,
    unit: 'k/s',
    better: 'higher',
    measure: 'throughput',
    options: { ms: 500, workers: 2, inFlight: 1_024, ...options },
    columns: ['cpu', 'cpu all'],
    contenders,
    targets,
    note: cpuNote[kind] + note,
  };
}

/** What the codec costs: objects there and back. CPython's threads hand on a reference. */
function objects(kind, size, words) {
  return rate(kind, {
    id: `rate-object-${size}-${kind}`,
    what: `an object of ${words} there and back`,
    options: { task: 'object', size },
    contenders: all(kind, kind === 'process' ? submitting(kind) : []),
  });
}

function closures(kind) {
  return rate(kind, {
    id: `rate-closure-${kind}`,
    what: 'a function that captures a number',
    options: { task: 'closure' },
    contenders: [
      ours('manyhands', { kind }),
      ours('manyhands, a new closure for each call', { kind, fresh: true }),
      peer('workerpool', { kind }),
    ],
    note: '\nworkerpool sends the source of a function with each call, and the number as an argument.',
  });
}

const words = count => count.toLocaleString('en');

function items(kind, count) {
  return {
    id: `items-${kind}-${count}`,
    title: `${words(count)} tasks given at once, x → x + 1, 2 ${plural[kind]}, until all results are there`,
    unit: 'k/s',
    better: 'higher',
    measure: 'items',
    options: { ms: 500, workers: 2, items: count },
    columns: ['cpu all'],
    // Ten seconds each for the slowest.
    ...(count > 10_000 ? { rounds: 1 } : {}),
    contenders: all(kind, submitting(kind)),
    targets: [],
    note: 'cpu all: µs of CPU time a task, of all processes and threads.',
  };
}

function map(kind, count) {
  const executor = pythonExecutor(kind, 'map');
  const chunked = { ...executor.options, chunked: true };
  return {
    id: `map-${kind}-${count}`,
    title: `pool.map of ${words(count)} trivial items, 2 ${plural[kind]}, default chunks`,
    unit: 'M/s',
    better: 'higher',
    measure: 'map',
    options: { ms: 300, items: count, workers: 2 },
    columns: ['worst'],
    contenders: [
      ours('manyhands', { kind }),
      pythonPool(kind, 'map'),
      ...(kind === 'process'
        ? [{ ...executor, name: `${executor.name}, chunks as Pool's`, options: chunked }]
        : []),
      // One task an item: seconds for many.
      ...(count > 10_000 ? [] : [executor, { ...peer('poolifier', { kind }), name: 'poolifier mapExecute' }]),
    ],
    targets: kind === 'process' && count === 100_000 ? [reach(4)] : [],
    note:
      "By default executors' map and mapExecute make a task of each item" +
      (count > 10_000 ? ': left out here.' : '.'),
  };
}

function megabyte(kind) {
  return {
    id: `megabyte-${kind}`,
    title: `A Uint8Array of 1 MiB there and back, copied, 1 ${kind}`,
    unit: 'ms',
    better: 'lower',
    measure: 'megabyte',
    options: { ms: 300, workers: 1 },
    columns: ['p99'],
    contenders: all(kind, kind === 'process' ? [pythonPool(kind, 'apply')] : []),
    targets: kind === 'process' ? [reach(0.5)] : [],
    note:
      kind === 'process'
        ? 'Node peers use the "advanced" serialization of child_process here; as JSON a Uint8Array does not come back as one.'
        : "Copied both ways. CPython's threads hand on a reference.",
  };
}

function moved(kind) {
  const copied = ours('manyhands, copied', { kind, copied: true });
  return {
    id: `megabyte-moved-${kind}`,
    title: `A Uint8Array of 1 MiB there and back, given away by the caller, 1 ${kind}`,
    unit: 'ms',
    better: 'lower',
    measure: 'moved',
    options: { ms: 300, workers: 1 },
    columns: ['p99'],
    contenders: [
      ours('manyhands', { kind }),
      copied,
      ...(kind === 'thread'
        ? [
            ...['piscina', 'tinypool', 'workerpool', 'poolifier'].map(name => peer(name, { kind })),
            node(bare.thread, 'floor', { kind }),
          ]
        : []),
    ],
    targets: [],
    note:
      kind === 'thread'
        ? "The caller goes on with the bytes that come back. poolifier's come back as a copy; the others move them back, too."
        : 'The caller goes on with the bytes that come back. Peers cannot give bytes away to a process.',
  };
}

function sharedMegabyte(kind) {
  return {
    id: `megabyte-shared-${kind}`,
    title: `1 MiB in shared memory as an argument, 1 ${kind}`,
    unit: 'µs',
    better: 'lower',
    measure: 'sharedMegabyte',
    options: { ms: 300, workers: 1 },
    columns: ['p99'],
    contenders: [
      ours('manyhands SharedArray', { kind }),
      ...(kind === 'thread'
        ? [...peers.thread.map(name => peer(name, { kind })), node(bare.thread, 'floor', { kind })]
        : [
            python('SharedMemory, attached to by each task', { of: 'SharedMemory' }),
            python('RawArray, inherited at the start', { of: 'RawArray' }),
          ]),
    ],
    targets: [],
    note:
      'The worker changes the last byte, and the caller looks whether it sees that: nothing is copied.' +
      (kind === 'thread'
        ? ' Peers get a SharedArrayBuffer.'
        : '\nThose of npm have nothing like it between processes.'),
  };
}

function coldStart(kind) {
  const { pool, executor } = cpython[kind];
  return {
    id: `cold-${kind}`,
    title: `From a new pool of 2 ${plural[kind]} to its first result`,
    unit: 'ms',
    better: 'lower',
    measure: 'coldStart',
    options: { workers: 2 },
    perRound: 3,
    columns: ['second'],
    contenders: [
      ours('manyhands', { kind }),
      ours('manyhands, a closure', { kind, closure: true }),
      ...(kind === 'process' ? [ours('manyhands spawn', { kind, method: 'spawn' })] : []),
      ...peers[kind].map(name => peer(name, { kind })),
      ...(kind === 'process'
        ? ['fork', 'forkserver'].map(method => python(`${pool}, ${method}`, { of: pool, method }))
        : [python(pool, { of: pool }), python(executor, { of: executor })]),
      node(bare[kind], 'floor', { kind }),
    ],
    targets: [],
    note:
      'In a program that has loaded the library, and has had no pool before; second: ms of another pool after that one.\n' +
      'The function is one that the worker has to import from a file, but for the closure.',
  };
}

const COUNTS = [1_000, 10_000, 100_000];

export const poolRows = [
  trip('process', 1, 'trip-process-1'),
  trip('process', 2, 'trip-process-2'),
  trip('thread', 1, 'trip-thread'),
  trip('thread', 2, 'trip-thread-2'),
  ...KINDS.map(kind =>
    rate(kind, { what: 'x → x + 1', contenders: all(kind, submitting(kind)), targets: rateTargets[kind] }),
  ),
  ...KINDS.map(closures),
  ...KINDS.flatMap(kind => [objects(kind, 64, '64 bytes'), objects(kind, 4_096, '4 KiB')]),
  ...KINDS.flatMap(kind => COUNTS.map(count => items(kind, count))),
  ...KINDS.flatMap(kind => COUNTS.map(count => map(kind, count))),
  ...KINDS.map(megabyte),
  ...KINDS.map(moved),
  ...KINDS.map(sharedMegabyte),
  ...KINDS.map(coldStart),
];
