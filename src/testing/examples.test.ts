import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prints, runsOf } from './examples.js';
import { leavesNothing } from './leaks.js';

leavesNothing();

const said = (program: string) => runsOf(program)[0]?.output ?? [];

test('what an example prints stands in its comments, by run and by stream', () => {
  const program = `work();

// Output:
// first
//
//   indented
// Unordered output:
// this
// that
// Errors:
// oh

// Output of --quick 2:
// short
`;
  assert.deepEqual(runsOf(program), [
    {
      args: [],
      output: [
        { ordered: true, lines: ['first', '', '  indented'] },
        { ordered: false, lines: ['this', 'that'] },
      ],
      errors: [{ ordered: true, lines: ['oh'] }],
    },
    { args: ['--quick', '2'], output: [{ ordered: true, lines: ['short'] }], errors: [] },
  ]);
  assert.deepEqual(runsOf('// a comment\nexport const part = 1;\n'), []);
});

test('lines have to come in their order, unless they need not', () => {
  assert.ok(prints('a\nb\n', said('// Output:\n// a\n// b')));
  assert.ok(!prints('b\na\n', said('// Output:\n// a\n// b')));
  assert.ok(prints('b\na\nc\n', said('// Unordered output:\n// a\n// b\n// Output:\n// c')));
  assert.ok(!prints('c\nb\na\n', said('// Unordered output:\n// a\n// b\n// Output:\n// c')));
});

test('no line may be missing, or be more than was said', () => {
  assert.ok(!prints('a\n', said('// Output:\n// a\n// b')));
  assert.ok(!prints('a\nb\nc\n', said('// Output:\n// a\n// b')));
  assert.ok(!prints('a\na\n', said('// Unordered output:\n// a\n// b')));
  assert.ok(!prints('a\n', []));
  assert.ok(prints('', []));
});

test('an ellipsis is any text, or any lines', () => {
  assert.ok(prints('took 3 ms\n', said('// Output:\n// took … ms')));
  assert.ok(!prints('took 3 s\n', said('// Output:\n// took … ms')));
  assert.ok(prints('a\nx\ny\nb\n', said('// Output:\n// a\n// …\n// b')));
  assert.ok(prints('a\nb\n', said('// Output:\n// a\n// …\n// b')));
  assert.ok(!prints('x\na\nb\n', said('// Output:\n// a\n// …\n// b')));
});

test('a name is the same word wherever it stands', () => {
  const family = said('// Unordered output:\n// child <child> of <parent>\n// parent <parent>, of <child>');
  assert.ok(prints('child 2 of 1\nparent 1, of 2\n', family));
  assert.ok(prints('parent 1, of 2\nchild 2 of 1\n', family));
  assert.ok(!prints('child 2 of 1\nparent 3, of 2\n', family));
  assert.ok(!prints('twice 1 2\n', said('// Output:\n// twice <n> <n>')));
  assert.ok(prints('1.5 (why?)\n', said('// Output:\n// <n> (why?)')));
});
