/** The rules by which source files may import one another: shared by the script that checks them and by its test. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

/** Lowest first: a folder imports only from folders before it. */
export const LAYERS = [
  ['errors', 'platform'],
  ['native'],
  ['memory'],
  ['wait'],
  ['codec'],
  ['sync'],
  ['channel'],
  ['shared'],
  ['process'],
  ['pool'],
  ['manager'],
  ['index.ts'],
  ['cli'],
];

/**
 * What is wrong with the imports under the folder `source`, a line each: imports upwards, imports of tests' helpers by
 * what is no test, folders that have no place in the order, files that are not there, and circles.
 *
 * Upwards, types count as well: to read a layer one should need nothing above it. A test, and what lies in a folder's own testing/, may import what the folder may,
 * that folder, and the helpers in testing/; the helpers serve all tests, so they may import anything.
 */
export function findFaults(source) {
  const files = readdirSync(source, { recursive: true })
    .filter(name => /\.(ts|mts|cts)$/.test(name) && !name.endsWith('.d.ts'))
    .sort();
  const graph = new Map(files.map(file => [file, importsOf(source, file)]));
  const faults = [];
  for (const [file, imports] of graph) {
    for (const { target, line } of imports) {
      const fault = graph.has(target) ? faultOf(file, target) : 'which is no source file';
      if (fault) faults.push(`${file}:${line} imports ${target}, ${fault}`);
    }
  }
  return [...faults, ...circles(graph)];
}

function faultOf(file, target) {
  const [from, to] = [folderOf(file), folderOf(target)];
  const isTest = file.includes('.test.') || file.split(path.sep).slice(1, -1).includes('testing');
  if (target.includes('.test.')) return 'which is a test';
  if (from === 'testing' || (isTest && from === file)) return null;
  if (to === 'testing') return isTest ? null : 'which only tests may use';
  if (from === to) return null;
  const [fromRank, toRank] = [rankOf(from), rankOf(to)];
  if (fromRank < 0) return `but ${from} has no place in the order of layers`;
  if (toRank < 0) return `but ${to} has no place in the order of layers`;
  return toRank < fromRank ? null : `but ${to} does not stand below ${from}`;
}

/** A file's first folder, or its name if it is in none. */
function folderOf(file) {
  return file.split(path.sep)[0];
}

function rankOf(folder) {
  return LAYERS.findIndex(layer => layer.includes(folder));
}

function importsOf(source, file) {
  const text = readFileSync(path.join(source, file), 'utf8');
  const atStart = loadedAtStart(file, text);
  return ts
    .preProcessFile(text, true, true)
    .importedFiles.filter(({ fileName }) => fileName.startsWith('.'))
    .map(({ fileName, pos }) => ({
      target: resolve(source, path.join(path.dirname(file), fileName)),
      line: text.slice(0, pos).split('\n').length,
      atStart: atStart.has(fileName),
    }));
}

/** What has to be loaded before the file itself is: neither types nor what a function imports when it runs. */
function loadedAtStart(file, text) {
  return new Set(
    ts
      .createSourceFile(file, text, ts.ScriptTarget.Latest)
      .statements.filter(
        statement =>
          (ts.isImportDeclaration(statement) && !isOnlyTypes(statement.importClause)) ||
          (ts.isExportDeclaration(statement) && !statement.isTypeOnly),
      )
      .map(statement => statement.moduleSpecifier?.text),
  );
}

function isOnlyTypes(clause) {
  if (!clause || clause.isTypeOnly) return clause !== undefined;
  const names = clause.name ? undefined : clause.namedBindings?.elements;
  return names !== undefined && names.length > 0 && names.every(name => name.isTypeOnly);
}

/** The source behind a compiled name: x.js, or plain x, is made of x.ts. */
function resolve(source, name) {
  const candidate = name.replace(/(\.([cm]?)js)?$/, '.$2ts');
  return existsSync(path.join(source, candidate)) ? candidate : name;
}

/** Every circle of files that each need the next to be loaded first, once, named from its first file. */
function circles(graph) {
  const found = new Map();
  const done = new Set();
  const visit = (file, trail) => {
    const at = trail.indexOf(file);
    if (at >= 0) {
      const circle = trail.slice(at);
      found.set([...circle].sort().join(), `${[...circle, file].join(' → ')} is a circle`);
      return;
    }
    if (done.has(file)) return;
    for (const { target, atStart } of graph.get(file) ?? []) if (atStart) visit(target, [...trail, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return [...found.values()];
}
