/**
 * Encoding and decoding beside v8.serialize and structuredClone. Run `npx tsc` first, then `node bench/codec.mjs`.
 * Figures are the best of several rounds, in microseconds a call: the rest of the machine only ever adds to them.
 */
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import v8 from 'node:v8';

const require = createRequire(import.meta.url);
const dist = resolve(import.meta.dirname, process.argv[2] ?? '../dist');
const { encode, encodeInto } = require(`${dist}/codec/encode.js`);
const { decode } = require(`${dist}/codec/decode.js`);

const record = i => ({
  id: i,
  name: `User number ${i}`,
  email: `user${i}@example.org`,
  active: i % 3 === 0,
  score: i * 1.25,
  tags: ['alpha', 'beta', `t${i % 7}`],
  address: { street: `${i} Main Street`, city: 'Springfield', zip: String(10_000 + i) },
});
class Point {
  constructor(x, y) {
    this.x = x;
    this.y = y;
  }
}
const cyclic = { name: 'root', children: [] };
for (let i = 0; i < 20; i++) cyclic.children.push({ parent: cyclic, i });

const cases = {
  'the number 7': 7,
  'the number 0.5': 0.5,
  'a string of 10': 'helloworld',
  'a small task': [1, 'abc', { x: 1, y: [1, 2, 3] }],
  'one record': record(1),
  'JSON-like, 60 KB': Array.from({ length: 370 }, (_, i) => record(i)),
  '1000 integers': Array.from({ length: 1000 }, (_, i) => i * 7),
  '1000 doubles': Array.from({ length: 1000 }, (_, i) => i / 7),
  'a Map of 100': new Map(Array.from({ length: 100 }, (_, i) => [`key ${i}`, i])),
  'a cyclic tree': cyclic,
  'text of 100 KB': 'lorem ipsum '.repeat(8_500),
  'a Uint8Array of 1 MiB': new Uint8Array(2 ** 20),
  'an Error': new TypeError('no'),
  'a Date': new Date(),
  'an object of a class': new Point(1, 2),
  'a function': x => x + 1,
};

function time(fn) {
  let count = 1;
  let best = Infinity;
  const from = process.hrtime.bigint();
  for (let round = 0; round < 12 || process.hrtime.bigint() - from < 150_000_000n; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) fn();
    const took = Number(process.hrtime.bigint() - start);
    if (took < 5e6) count *= 2;
    else best = Math.min(best, took / count);
    if (round > 200) break;
  }
  return best / 1000;
}

const rows = {};
const target = new Uint8Array(4 * 2 ** 20);
for (const [name, value] of Object.entries(cases)) {
  const bytes = encode(value);
  const serialized = typeof value === 'function' ? undefined : v8.serialize(value);
  const row = {
    bytes: bytes.length,
    encode: time(() => encode(value)),
    encodeInto: time(() => encodeInto(value, target, 64)),
    decode: time(() => decode(bytes)),
    ...(typeof value !== 'function' && {
      'v8.serialize': time(() => v8.serialize(value)),
      'v8.deserialize': time(() => v8.deserialize(serialized)),
      structuredClone: time(() => structuredClone(value)),
    }),
  };
  for (const key of Object.keys(row)) if (key !== 'bytes') row[key] = Number(row[key].toPrecision(3));
  rows[name] = row;
}
if (process.argv.includes('--json')) console.log(JSON.stringify(rows));
else console.table(rows);
