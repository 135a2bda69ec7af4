import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blocksOf, commandsOf, docComments, isExcerpt, matches } from './docs.js';
import { leavesNothing } from './leaks.js';

leavesNothing();

test('blocks come with language, tags, text and line', () => {
  assert.deepEqual(
    blocksOf('# Title\n\n```ts no-run file=a.ts\nlet a;\n\n```\n\n````md\n```js\n```\n````\n'),
    [
      { language: 'ts', tags: ['no-run', 'file=a.ts'], text: 'let a;\n\n', line: 3 },
      { language: 'md', tags: [], text: '```js\n```\n', line: 8 },
    ],
  );
  assert.throws(() => blocksOf('text\n```js\nlost'), /begins at line 2 has no end/);
});

test('doc comments are a document whose lines are those of their program', () => {
  const program =
    '/** One line. */\nlet a;\n/*\n * ```js\n */\nclass A {\n  /**\n   * Text.\n   *\n   * ```ts\n   *   let b;\n   * ```\n   */\n  b = 1 * 2;\n}\n';
  assert.equal(docComments(program), '\n\n\n\n\n\n\nText.\n\n```ts\n  let b;\n```\n\n\n\n');
  assert.deepEqual(blocksOf(docComments(program)), [
    { language: 'ts', tags: [], text: '  let b;\n', line: 10 },
  ]);
});

test('a console block is commands with what they print', () => {
  const block = { language: 'console', tags: [], line: 1, text: '$ echo 1\n1\n$ true\n$ echo \\\n  2\n2\n' };
  assert.deepEqual(commandsOf(block), [
    { command: 'echo 1', expected: '1\n' },
    { command: 'true', expected: null },
    { command: 'echo \\\n  2', expected: '2\n' },
  ]);
});

test('… stands for any text or any lines', () => {
  assert.equal(matches('a.b\n', 'a.b\n'), true);
  assert.equal(matches('axb\n', 'a.b\n'), false);
  assert.equal(matches('took 12 ms\n', 'took … ms\n'), true);
  assert.equal(matches('1\n2\n3\n4\n', '1\n…\n4\n'), true);
  assert.equal(matches('1\n4\n', '1\n…\n4\n'), true);
  assert.equal(matches('1\n2\n', '1\n…\n4\n'), false);
  assert.equal(matches('1\n2\n', '1\n'), false);
});

test('an excerpt stands in a program as code, or as what it prints', () => {
  const program = 'if (a) {\n  b();\n\n  c();\n}\n\n// Output:\n// one\n//   two\n';
  assert.equal(isExcerpt('b();\n\nc();\n', program), true);
  assert.equal(isExcerpt('if (a) {\n  b();\n', program), true);
  assert.equal(isExcerpt('one\n  two\n', program), true);
  assert.equal(isExcerpt('b();\nc();\n', program), false);
  assert.equal(isExcerpt('b();\n\n  c();\n', program), false);
  assert.equal(isExcerpt('b(', program), false);
  assert.equal(isExcerpt('two\none\n', program), false);
});
