import assert from 'node:assert/strict';
import inspector from 'node:inspector';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, test } from 'node:test';
import v8 from 'node:v8';
import vm from 'node:vm';
import { decode } from './decode.js';
import { encode } from './encode.js';
import { describeFunction } from './functions/describe.js';
import type { AnyFunction, Source } from './functions/description.js';
import { fixture } from './functions/fixtures/run-elsewhere.js';
import { shellOf, textOf } from './functions/shells.js';

/** How many closures are made and forgotten; 100,000 take ten seconds. */
const MANY = Number(process.env.MANYHANDS_CLOSURES ?? 2_000);

function crossed<T>(value: T): T {
  return decode(encode(value)) as T;
}

/** How often V8's inspector is asked while `action` runs. */
function questions(action: () => unknown): number {
  const { prototype } = inspector.Session;
  const { post } = prototype;
  let count = 0;
  prototype.post = function (this: inspector.Session, ...args: unknown[]) {
    count++;
    return Reflect.apply(post, this, args) as unknown;
  } as typeof post;
  try {
    action();
  } finally {
    prototype.post = post;
  }
  return count;
}

let unit = 'm';
const inUnits = (n: number) => `${n} ${unit}`;
function isEven(n: number): boolean {
  return n === 0 || isOdd(n - 1);
}
function isOdd(n: number): boolean {
  return n !== 0 && isEven(n - 1);
}

describe('functions that are made at one place', () => {
  test('have values of their own, those of the moment they are sent', () => {
    const make = (a: unknown, b: unknown) => () => [a, b];
    for (const [a, b] of [
      [1, 2],
      ['x', { y: [1] }],
      [undefined, null],
      [[], new Map([[1, 2]])],
    ])
      assert.deepEqual(crossed(make(a, b))(), [a, b]);

    let count = 0;
    const ofCount = () => () => count;
    const first = ofCount();
    for (; count < 3; count++) {
      assert.equal(crossed(ofCount())(), count);
      assert.equal(crossed(first)(), count);
    }
    const kept = { n: 1 };
    const copy = crossed(make(kept, 0));
    kept.n = 2;
    assert.deepEqual(copy(), [{ n: 1 }, 0]);
  });

  test('have variables of their own over there', () => {
    const counter = (count: number) => () => ++count;
    const [one, two] = [crossed(counter(1)), crossed(counter(1))];
    assert.deepEqual([one(), one(), two()], [2, 3, 2]);
  });

  test('may be of any kind: recursive, methods, generators, classes, closures over each other', () => {
    const counting = (stop: number) => {
      function down(from: number): number[] {
        return from <= stop ? [from] : [from, ...down(from - 1)];
      }
      return down;
    };
    const method = (n: number) => ({ add: (x: number) => x, plus: (x: number) => x + n }).plus;
    const generator = (n: number) =>
      function* () {
        yield n;
        yield n * 2;
      };
    const classOf = (n: number) =>
      class Scaled {
        static factor = n;
        scale(x: number) {
          return x * n;
        }
      };
    const keyed = (key: string) =>
      class Keyed {
        [key]() {
          return key;
        }
      };
    const under = (above: () => number) => () => above() + 1;
    for (const n of [1, 2, 3]) {
      assert.deepEqual(crossed(counting(n))(4).at(-1), n);
      assert.equal(crossed(method(n))(10), 10 + n);
      assert.deepEqual([...crossed(generator(n))()], [n, n * 2]);
      const Scaled = crossed(classOf(n));
      assert.deepEqual([Scaled.factor, new Scaled().scale(5)], [n, n * 5]);
      const Keyed = crossed(keyed(`key${n}`));
      assert.equal(new Keyed()[`key${n}`]?.(), `key${n}`);
      let chain = () => n;
      for (let i = 0; i < 5; i++) chain = under(chain);
      assert.equal(crossed(chain)(), n + 5);
    }
  });

  test('see the functions of their module, and the variables of those', () => {
    for (const [n, name] of [
      [1, 'm'],
      [2, 'km'],
      [3, 'mm'],
    ] as const) {
      unit = name;
      const { text, even, both } = crossed({
        text: () => inUnits(n),
        even: () => isEven(n),
        both: () => [inUnits(n), isOdd(n), unit],
      });
      assert.equal(text(), `${n} ${name}`);
      assert.equal(even(), n % 2 === 0);
      assert.deepEqual(both(), [`${n} ${name}`, n % 2 === 1, name]);
    }
  });

  test('see what hides a function of their module, not that function', () => {
    const helper = () => 'parameter';
    const send = (inUnits: () => string) => crossed(() => inUnits())();
    assert.equal(send(helper), 'parameter');
    assert.equal(
      send(() => 'another'),
      'another',
    );
    assert.match(crossed(() => inUnits(1))(), /^1 /);
  });

  test('see the functions of another run of their module as what they are', () => {
    const text = 'function read() { return state; } return { read, both: other => () => [other(), read()] };';
    const load = vm.compileFunction(text, ['state']) as (state: number) => {
      read(): number;
      both(other: () => number): () => number[];
    };
    const [one, two] = [load(1), load(2)];
    for (let i = 0; i < 2; i++) assert.deepEqual(crossed(two.both(one.read))(), [1, 2]);
  });

  test('may hold modules and require, or other values in the same variable', () => {
    const holding = (value: unknown) => () => value;
    const require = createRequire(__filename);
    assert.equal(crossed(holding(path))(), path);
    assert.equal(crossed(holding(5))(), 5);
    assert.equal((crossed(holding(require))() as NodeJS.Require)('node:path'), path);
    assert.equal(crossed(holding(Math))(), Math);
    assert.deepEqual(crossed(holding({ sep: path.sep }))(), { sep: path.sep });
    assert.equal(crossed(holding(path))(), path);
  });

  test('are exports where they are exported, and else are not', async () => {
    const { makeAdder, addTwo, exportLate } = (await import(fixture('adders.mjs'))) as Record<
      string,
      AnyFunction
    > & {
      makeAdder(n: number): AnyFunction;
      exportLate(adder: AnyFunction): void;
    };
    assert.equal(describeFunction(makeAdder(1)).kind, 'source');
    assert.equal(describeFunction(addTwo as AnyFunction).kind, 'reference');
    assert.equal(describeFunction(makeAdder(2)).kind, 'source');
    const late = makeAdder(3);
    exportLate(late);
    assert.deepEqual(describeFunction(late), {
      kind: 'reference',
      module: fixture('adders.mjs'),
      path: ['late'],
    });

    const { default: common } = (await import(fixture('adders.cjs'))) as {
      default: {
        makeAdder(n: number): AnyFunction;
        addTwo: AnyFunction;
        tools: { addFour: AnyFunction };
        addFive?: AnyFunction;
      };
    };
    assert.equal(describeFunction(common.makeAdder(1)).kind, 'source');
    assert.equal(describeFunction(common.makeAdder(2)).kind, 'source');
    assert.equal(describeFunction(common.addTwo).kind, 'reference');
    assert.equal(describeFunction(common.tools.addFour).kind, 'reference');
    common.addFive = common.makeAdder(5);
    assert.equal(describeFunction(common.addFive).kind, 'reference');
  });

  test('are told apart from those of other scripts of the same name, and by what eval has added', () => {
    for (const text of ['n + 1', 'n + 2', 'n - 1']) {
      const make = vm.runInThisContext(`n => () => ${text}`, { filename: 'same.js' }) as (
        n: number,
      ) => () => number;
      for (const n of [1, 2]) assert.equal(crossed(make(n))(), make(n)());
    }
    const [one, two] = ['one.js', 'two.js'].map(filename => {
      const make = vm.runInThisContext('n => () => n', { filename }) as (n: number) => AnyFunction;
      return (describeFunction(make(1)) as Source).shell.url;
    });
    assert.deepEqual([one, two], ['one.js', 'two.js']);
    const script = new vm.Script('let base = 10; n => () => base + n', { filename: 'same.js' });
    for (const n of [1, 2]) {
      const make = script.runInNewContext() as (n: number) => () => number;
      assert.equal(crossed(make(n))(), 10 + n);
    }
    const sloppy = new Function(
      'code',
      'eval(code); return () => typeof hidden === "undefined" ? 0 : hidden',
    );
    const make = sloppy as (code: string) => () => number;
    for (const n of [0, 1, 0, 2]) assert.equal(crossed(make(n ? `var hidden = ${n}` : ''))(), n);
  });

  test('names and strictness stay theirs', () => {
    const make = (name: string) => ({ [name]: () => name })[name] as () => string;
    for (const name of ['one', 'two', 'one']) {
      const fn = crossed(make(name));
      assert.deepEqual([fn.name, fn()], [name, name]);
    }
  });

  test('cost the inspector two questions, or three where they have variables', () => {
    const plain = () => () => 1;
    const capturing = (n: number) => () => n;
    const calling = (n: number) => () => inUnits(n);
    const all = [plain, capturing, calling];
    for (const make of all) crossed(make(0)); // the first of its place
    const asked = (make: (n: number) => AnyFunction) => {
      const functions = Array.from({ length: 10 }, (_, i) => make(i));
      const count = questions(() => {
        for (const fn of functions) encode(fn);
      });
      return Math.floor(count / 10); // now and then it is told to let go
    };
    assert.deepEqual(all.map(asked), [2, 3, 3]);
  });
});

test('a source is compiled once, as long as it is one of those that came last', context => {
  const make = (n: number) => () => n;
  const { shell } = describeFunction(make(1)) as Source;
  const compile = context.mock.method(vm, 'Script');
  for (const n of [1, 2, 3]) assert.equal(crossed(make(n))(), n);
  assert.equal(compile.mock.callCount(), 1);
  const text = textOf(shell);
  const known = shellOf(text);
  assert.deepEqual(known, shell);
  assert.equal(shellOf(text), known);
  assert.equal(textOf(known), text);
  for (let i = 0; i < 600; i++) shellOf(textOf({ ...shell, line: i + 1000 }));
  assert.notEqual(shellOf(text), known); // others have taken its place
  assert.equal(crossed(make(7))(), 7);
});

test('functions that have crossed are kept by nobody', async () => {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as () => void;
  const make = (n: number) => {
    const large = new Array(1000).fill(n);
    return () => large.length + n;
  };
  const references: WeakRef<AnyFunction>[] = [];
  const sample = (n: number) => {
    const fn = make(n);
    const copy = crossed(fn);
    assert.equal(copy(), 1000 + n);
    if (n % 10 === 0) references.push(new WeakRef(fn), new WeakRef(copy));
  };
  for (let n = 0; n < MANY; n++) sample(n);
  for (let i = 0; i < 50; i++) sample(10 * i); // scripts' own closures too
  await new Promise(setImmediate);
  collect();
  const alive = references.filter(reference => reference.deref() !== undefined).length;
  assert.ok(alive <= 2, `${alive} of ${references.length} are still there`);
});
