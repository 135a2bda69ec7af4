import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import ts from 'typescript';
import { leavesNothing } from './testing/leaks.js';

/*
 * The tables of docs/migration/ tell of every name that there is elsewhere, and name nothing of ours that there is not. A table whose
 * second column is headed "here" names ours in it, in backticks. Its first column is headed by what the names in it belong to.
 */

leavesNothing();

const root = path.resolve(__dirname, '..');
const folder = path.join(root, 'docs', 'migration');

interface Row {
  /** The line that it is on, from 1. */
  readonly line: number;
  /** What the names of its first cell belong to: `threading.Thread`. */
  readonly owners: readonly string[];
  readonly theirs: readonly string[];
  readonly ours: readonly string[];
}

let checker: ts.TypeChecker;
let exported: ReadonlyMap<string, ts.Symbol>;
let elsewhere: ReadonlyMap<string, ts.Symbol>;
before(() => {
  const index = path.join(root, 'dist', 'index.d.ts');
  const others = path.join(root, 'src', 'testing', 'elsewhere.mts');
  const program = ts.createProgram([index, others], {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    strict: true,
    skipLibCheck: true,
  });
  checker = program.getTypeChecker();
  const errors = program.getSemanticDiagnostics(program.getSourceFile(others));
  assert.deepEqual(
    errors.map(error => ts.flattenDiagnosticMessageText(error.messageText, '\n')),
    [],
  );
  const exportsOf = (file: string) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file) as ts.SourceFile) as ts.Symbol;
    return new Map(checker.getExportsOfModule(module).map(symbol => [symbol.name, symbol]));
  };
  exported = exportsOf(index);
  const { members } = exportsOf(others).get('Elsewhere') as ts.Symbol;
  elsewhere = new Map([...(members as ts.SymbolTable)].map(([name, symbol]) => [String(name), symbol]));
});

test('python.md tells of every name of CPython', () => {
  const told = toldBy('python.md');
  const names = readFileSync(path.join(root, 'src', 'testing', 'python-names.txt'), 'utf8')
    .trim()
    .split('\n');
  assert.ok(names.length > 350);
  assert.deepEqual(
    names.filter(name => !told.has(name)),
    [],
  );
});

for (const document of ['pools.md', 'child-process.md', 'worker-threads.md']) {
  test(`${document} tells of every name of those libraries`, () => {
    const told = toldBy(document);
    const owners = checker.getPropertiesOfType(checker.getTypeOfSymbol(elsewhere.get(document) as ts.Symbol));
    assert.ok(owners.length > 3);
    const untold: string[] = [];
    for (const owner of owners) {
      const names = checker
        .getPropertiesOfType(checker.getTypeOfSymbol(owner))
        .map(member => member.name)
        .filter(name => !name.startsWith('__@')); // those that are symbols
      assert.ok(names.length > 0, owner.name);
      untold.push(...names.map(name => `${owner.name}.${name}`).filter(name => !told.has(name)));
    }
    assert.deepEqual(untold, []);
  });
}

for (const document of readdirSync(folder)) {
  test(`what ${document} calls ours is there`, () => {
    for (const { line, ours } of rowsOf(document))
      for (const name of ours)
        assert.ok(isThere(name), `${document}:${line} names ${name}, which there is not`);
  });
}

test('what is not there is noticed', () => {
  for (const name of [
    'Process',
    'new Pool(size, { kind })',
    'Pool.map()',
    'currentThread().ident',
    'DictProxy.get()',
  ])
    assert.ok(isThere(name), name);
  for (const name of ['Precess', 'Pool.mop()', 'currentThread().pid', 'Pool.#size', 'Thread.kill()'])
    assert.ok(!isThere(name), name);
});

/** Their names that a document tells of: `threading.Thread.join`. */
function toldBy(document: string): Set<string> {
  const told = new Set<string>();
  for (const { owners, theirs } of rowsOf(document))
    for (const owner of owners) for (const name of theirs) told.add(`${owner}.${nameIn(name)}`);
  return told;
}

function rowsOf(document: string): Row[] {
  const rows: Row[] = [];
  let owners: readonly string[] | undefined;
  const lines = readFileSync(path.join(folder, document), 'utf8').split('\n');
  for (const [index, text] of lines.entries()) {
    if (!text.startsWith('|')) owners = undefined;
    else if (lines[index + 1]?.startsWith('| --')) {
      const [first = '', second] = cellsOf(text);
      owners = second === 'here' ? spansOf(first) : undefined;
    } else if (owners && !text.startsWith('| --')) {
      const [first = '', second = ''] = cellsOf(text);
      rows.push({ line: index + 1, owners, theirs: spansOf(first), ours: spansOf(second) });
    }
  }
  return rows;
}

function cellsOf(row: string): string[] {
  return row
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map(cell => cell.trim());
}

/** What is in backticks. */
function spansOf(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, span]) => span as string);
}

/** `join` of `join(timeout)`. */
function nameIn(span: string): string {
  return /^\w+/.exec(span)?.[0] ?? span;
}

/** Is there an export, or a member of one, by that name? What stands in brackets is not looked at. */
function isThere(span: string): boolean {
  let called = span.replace(/^(new|await) /, '');
  while (/\([^()]*\)/.test(called)) called = called.replace(/\([^()]*\)/, '!');
  const [first = '', ...more] = called.split('.');
  let symbol = exported.get(first.replace('!', ''));
  let wasCalled = first.endsWith('!');
  for (const part of more) {
    if (!symbol) return false;
    const name = part.replace('!', '');
    symbol = membersOf(symbol, wasCalled).find(member => member.name === name);
    wasCalled = part.endsWith('!');
  }
  return symbol !== undefined;
}

function membersOf(named: ts.Symbol, wasCalled: boolean): ts.Symbol[] {
  const symbol = named.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(named) : named;
  if (symbol.flags & ts.SymbolFlags.Module) return checker.getExportsOfModule(symbol);
  if (symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface | ts.SymbolFlags.TypeAlias)) {
    const type = checker.getDeclaredTypeOfSymbol(symbol);
    const own = checker.getPropertiesOfType(type);
    if (!(symbol.flags & ts.SymbolFlags.Class)) return own;
    return [...own, ...checker.getPropertiesOfType(checker.getTypeOfSymbol(symbol))];
  }
  const type = checker.getTypeOfSymbol(symbol);
  if (!wasCalled) return checker.getPropertiesOfType(type);
  return type
    .getCallSignatures()
    .flatMap(signature => checker.getPropertiesOfType(checker.getReturnTypeOfSignature(signature)));
}
