/** The rows about values that processes share by key, and about what a manager serves. */
import { better, ours, reach } from './words.mjs';

const python = (name, options) => ({ name, role: 'peer', module: 'cpython_stores', options });
const lmdb = (name, options) => ({ name, role: 'peer', module: 'lmdb', options });

const dicts = [
  ours('manyhands Manager dict, one at a time', { of: 'dict', form: 'async' }),
  ours('manyhands Manager dict, 100 under way', { of: 'dict', form: 'pipelined' }),
  python('CPython Manager dict', { of: 'dict' }),
];
const steps = { unit: 'k/s', better: 'higher', measure: 'storeSteps', columns: ['least'] };
const together =
  'least: what the worst served got, % of an even share. Both count over the same stretch of time.';

const dictRow = ({ op, title, targets, lmdbName }) =>
  [1, 2].map(processes => ({
    ...steps,
    id: processes === 1 ? `dict-${op}` : `dict-${op}-${processes}`,
    title: processes === 1 ? title : `${title}, ${processes} processes at once, of both`,
    options: { ms: 500, op, processes },
    contenders: [ours('manyhands SharedMap', { of: 'SharedMap' }), ...dicts, lmdb(lmdbName, {})],
    targets: processes === 1 ? targets : [better(10, /^CPython/, "CPython's Manager")],
    ...(processes === 1 ? {} : { note: together }),
  }));

const managers = [ours('manyhands', { of: 'counter', form: 'async' }), python('CPython', { of: 'counter' })];

export const storeRows = [
  ...dictRow({
    op: 'set',
    title: 'A number set under one of 1,000 keys, by a process of its own',
    targets: [reach(100), better(5, /^CPython/, "CPython's Manager")],
    lmdbName: 'lmdb, putSync',
  }),
  ...dictRow({
    op: 'get',
    title: 'The same number got',
    targets: [reach(1_000), better(20, /^CPython/, "CPython's Manager")],
    lmdbName: 'lmdb, a fresh view each',
  }),
  ...[2, 8].map(processes => ({
    ...steps,
    id: `dict-add-${processes}`,
    title: `One number increased by ${processes} processes at once, steps of all`,
    options: { ms: 1_500, op: 'add', processes },
    contenders: [
      ours('manyhands SharedMap.update', { of: 'SharedMap' }),
      ours('manyhands Manager dict.add, one at a time', { of: 'dict', form: 'async' }),
      python('CPython Manager dict and Lock', { of: 'dict' }),
      lmdb('lmdb, a transaction each', {}),
    ],
    targets: [better(10, /^CPython/, "CPython's Manager")],
    note: 'The sum is checked. least: what the worst served got, % of an even share.',
  })),
  {
    id: 'proxy-trip',
    title: "A call of a user's object in a manager, there and back, on one core",
    oneCore: true,
    unit: 'µs',
    better: 'lower',
    measure: 'storeTrip',
    columns: [],
    options: { ms: 500, op: 'increment', processes: 1 },
    contenders: managers,
    targets: [better(1, /^CPython/, 'CPython')],
  },
  {
    ...steps,
    id: 'proxy-rate',
    title: "Calls of a user's object in a manager, wherever the kernel puts both sides",
    columns: [],
    options: { ms: 500, op: 'increment', processes: 1 },
    contenders: [
      ours('manyhands, 100 under way', { of: 'counter', form: 'pipelined' }),
      ...managers.map(({ name, ...rest }) => ({ ...rest, name: `${name}, one at a time` })),
    ],
    targets: [reach(40), better(1, /^CPython/, 'CPython')],
  },
];
