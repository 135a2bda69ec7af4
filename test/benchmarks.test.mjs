import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { condense, readme, tables } from '../bench/harness/documents.mjs';
import { scenarios } from '../bench/scenarios.mjs';

const root = path.resolve(import.meta.dirname, '..');
const read = name => readFileSync(path.join(root, name), 'utf8');

test('the documents show the figures that were published', () => {
  const figures = JSON.parse(read('bench/published.json'));
  const shown = name => /<!-- benchmarks -->\n\n([\s\S]*)\n<!-- \/benchmarks -->/.exec(read(name))?.[1];
  assert.equal(shown('README.md'), readme(figures), 'node bench/publish.mjs writes them anew');
  assert.equal(shown('docs/comparison.md'), tables(figures), 'node bench/publish.mjs writes them anew');
});

test('every row has its place in the documents', () => {
  const measured = row => ({ ...row, rows: row.contenders.map(peer => ({ ...peer, value: 2, ratio: 3 })) });
  const about = {
    date: '2000-01-01',
    commit: 'abc',
    node: 'v20.0.0',
    python: '3.13.0',
    cpu: 'CPU',
    cores: 2,
  };
  const run = { ...about, kernel: '6.1', versions: {}, rounds: 3, results: scenarios.map(measured) };
  const figures = condense(run);
  assert.match(
    readme(figures),
    /\| queue between two processes.*2 k\/s.*`process.send` 2 k\/s: \*\*3.0×\*\*/,
  );
  for (const { title } of scenarios) assert.ok(tables(figures).includes(`\n### ${title}\n`), title);
});
