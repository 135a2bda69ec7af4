/**
 * Writes the figures of a run into the documents: the whole into docs/comparison.md, the most telling rows into README.md.
 *
 *   node bench/publish.mjs [FIGURES]    a file that run.mjs wrote; its figures are kept in published.json
 *
 * Without a file the documents are made anew from the figures that are kept.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { condense, readme, tables } from './harness/documents.mjs';

const folder = import.meta.dirname;
const kept = path.join(folder, 'published.json');

const [given] = process.argv.slice(2);
if (given) write(kept, `${JSON.stringify(condense(read(given)), null, 1)}\n`);
if (!existsSync(kept)) throw new Error(`Cannot find ${kept}: give the file with the figures of a run`);
const figures = read(kept);
for (const [name, text] of [
  ['README.md', readme(figures)],
  ['docs/comparison.md', tables(figures)],
]) {
  const file = path.join(folder, '..', name);
  const parts = readFileSync(file, 'utf8').split(
    /(?<=<!-- benchmarks -->\n)[\s\S]*(?=<!-- \/benchmarks -->)/,
  );
  if (parts.length !== 2) throw new Error(`Cannot find where the figures stand in ${name}`);
  write(file, parts.join(`\n${text}\n`));
}

function read(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}

function write(file, text) {
  writeFileSync(file, text);
  console.log(`wrote ${path.relative(process.cwd(), file)}`);
}
