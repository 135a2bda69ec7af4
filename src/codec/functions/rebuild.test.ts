import assert from 'node:assert/strict';
import fs from 'node:fs';
import { before, describe, test } from 'node:test';
import vm from 'node:vm';
import { describeFunction } from './describe';
import type { AnyFunction } from './description';
import type { Answer } from './fixtures/child';
import { fixture, runElsewhere, runTypeScript } from './fixtures/run-elsewhere';
import { decode, encode } from './fixtures/trivial-codec';
import { setEntry } from './modules';
import { rebuildFunction } from './rebuild';

type Case = [fn: (...args: unknown[]) => unknown, args: unknown[], expected: unknown];

/** Sends every case of a fixture to another process, and once more from there back to here. */
function suite(
  title: string,
  url: string,
  casesOf: (module: Record<string, unknown>) => Record<string, Case>,
): void {
  describe(title, () => {
    let answers: Record<string, Answer>;
    let cases: Record<string, Case>;

    before(async () => {
      setEntry(url);
      cases = casesOf((await import(url)) as Record<string, unknown>);
      const calls = Object.entries(cases).map(([name, [fn, args]]) => [name, encode([fn, args])] as const);
      answers = runElsewhere(url, Object.fromEntries(calls));
    });

    test('each gives in another process what it gives here', async t => {
      for (const [name, [, , expected]] of Object.entries(cases)) {
        await t.test(name, async () => {
          const { result, stack } = answers[name] ?? {};
          assert.ok(result, stack);
          assert.deepEqual(((await decode(result)) as unknown[])[0], expected);
        });
      }
    });

    test('each can be sent back from there, and works here', async t => {
      for (const [name, [fn, args, expected]] of Object.entries(cases)) {
        if (name === 'assignment') continue; // has changed its own copy there
        await t.test(name, async () => {
          const [, again] = (await decode(answers[name]?.result ?? '')) as [unknown, string];
          const back = (await decode(again)) as typeof fn;
          assert.deepEqual(await back(...args), expected);
          assert.equal(back.name, fn.name);
          assert.equal(back.length, fn.length);
        });
      }
    });
  });
}

suite('functions of an ES module that is the entry', fixture('closures.mjs'), module => {
  const { throws: _, ...cases } = module.cases as Record<string, Case>;
  return cases;
});
suite(
  'functions of a CommonJS module that is the entry',
  fixture('closures.cjs'),
  module => (module.default as { cases: Record<string, Case> }).cases,
);

async function results(answers: Record<string, Answer>): Promise<Record<string, unknown>> {
  const entries = Object.entries(answers).map(async ([name, { result, error }]) => {
    return [name, result ? ((await decode(result)) as unknown[])[0] : error] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

test('functions of a TypeScript program under tsx cross to a process without it', async () => {
  const answers = runTypeScript('typescript-closures.mts');
  assert.deepEqual(await results(answers), {
    measure: '36 m',
    imported: 4,
    namespace: 9,
    dynamic: 16,
    spread: ['a x b nested 2\n c', '/x', 1, 6, 4],
    throws: 'Error: from the original line',
  });
});

test('a stack trace shows where the TypeScript was written', () => {
  const lines = fs.readFileSync(new URL(fixture('typescript-closures.mts')), 'utf8').split('\n');
  const line = lines.findIndex(text => text.includes('throw new Error(erased'));
  const { throws } = runTypeScript('typescript-closures.mts');
  const column = (lines[line] ?? '').indexOf('new Error');
  assert.equal(place(throws?.stack), `${fixture('typescript-closures.mts')}:${line + 1}:${column + 1}`);
});

test('functions of TypeScript compiled to CommonJS under tsx cross as well', async () => {
  const answers = runTypeScript('typescript-closures.cts');
  assert.deepEqual(await results(answers), { task: 6, imported: 5, namespace: 3, builtins: 'functionb' });
});

test('a stack trace shows the original file, line and column', async () => {
  const url = fixture('closures.mjs');
  setEntry(url);
  const { cases } = (await import(url)) as { cases: Record<string, Case> };
  const fn = cases.throws?.[0] as Case[0];
  const original = frame(() => fn());
  const { throws } = runElsewhere(url, { throws: encode([fn, []]) });
  assert.match(original, /closures\.mjs:\d+:\d+/);
  assert.equal(place(throws?.stack), original);
});

function frame(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return place((error as Error).stack);
  }
  return '';
}

/** The first position in a stack trace. */
function place(stack = ''): string {
  return /file:[^()\s]+/.exec(stack)?.[0] ?? '';
}

test('a rebuilt function keeps its variables to itself, and describing it gives their present values', () => {
  let count = 1;
  const step = () => ++count;
  const description = describeFunction(step);
  assert.ok(description.kind === 'source');
  const { fn, fill } = rebuildFunction(description.shell);
  fill([10]);
  assert.equal(fn(), 11);
  assert.equal(count, 1);
  const again = describeFunction(fn);
  assert.ok(again.kind === 'source');
  assert.deepEqual(again.captures, [{ name: 'count', value: 11 }]);
  assert.equal(again.shell.source, step.toString());
});

test('a function made by a rebuilt function can be sent on', async () => {
  const offset = 5;
  const make = (a: number) => async (b: number) => [
    a + b + offset,
    typeof (await import('node:fs')).readFileSync,
  ];
  const rebuilt = (await decode(encode(make))) as typeof make;
  const made = (await decode(encode(rebuilt(1)))) as ReturnType<typeof make>;
  assert.deepEqual(await made(2), [8, 'function']);
});

test('a static initialiser waits for the functions it needs, and does not undo what the class was given', () => {
  const word = 'an entry';
  const helper = () => word;
  // biome-ignore lint/complexity/noStaticOnlyClass: what is tested
  class Registry {
    static entries = [helper()];
    static size = 1;
  }
  const description = describeFunction(helper);
  const ofClass = describeFunction(Registry);
  assert.ok(description.kind === 'source' && ofClass.kind === 'source');
  const outer = rebuildFunction(description.shell);
  const inner = rebuildFunction(ofClass.shell);
  inner.fill([outer.fn]); // which has no variables yet
  const rebuilt = inner.fn as unknown as typeof Registry;
  assert.equal(rebuilt.entries, undefined);
  rebuilt.size = 7;
  outer.fill([word]);
  assert.deepEqual(rebuilt.entries, ['an entry']);
  assert.equal(rebuilt.size, 7);
});

test('a class keeps computed names made from captured variables, private members and its prototype chain', async () => {
  const key = Symbol.for('manyhands.test.key');
  const word = 'spoken';
  class Base {
    #value = 1;
    get [word]() {
      return this.#value;
    }
    static [word]() {
      return Base.name;
    }
  }
  class Derived extends Base {
    [key]() {
      return super[word] + 1;
    }
  }
  const rebuilt = (await decode(encode(Derived))) as typeof Derived;
  assert.equal(new rebuilt()[key](), 2);
  assert.equal(rebuilt[word](), 'Base');
  assert.equal(Object.getPrototypeOf(rebuilt).name, 'Base');
  const getter = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(rebuilt.prototype), word)?.get;
  assert.equal(getter?.name, 'get spoken');
  assert.throws(() => (rebuilt as unknown as () => void)(), TypeError);
});

test('code that came by eval, new Function or vm crosses too', async () => {
  const made: AnyFunction[] = [
    new Function('a', 'return a + 1'),
    vm.runInThisContext('const vmOffset = 1; a => a + vmOffset'),
    // biome-ignore lint/security/noGlobalEval: what is tested
    globalThis.eval('(function (a) { return a + 1; })'),
  ];
  for (const fn of made) assert.equal(((await decode(encode(fn))) as (a: number) => number)(1), 2);
});
