import assert from 'node:assert/strict';
import fs from 'node:fs';
import inspector from 'node:inspector';
import path from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { SerializationError } from '../../errors/errors';
import { describeFunction } from './describe';
import type { AnyFunction, Capture, Source } from './description';
import { fixture } from './fixtures/run-elsewhere';
import { loadedModule, loadModule, setEntry } from './modules';

type Anything = Record<string, AnyFunction & Record<string, AnyFunction>>;

async function load(name: string): Promise<Anything> {
  return (await import(fixture(name))) as Anything;
}

function capturesOf(fn: AnyFunction): readonly Capture[] {
  const description = describeFunction(fn);
  assert.equal(description.kind, 'source');
  return (description as Source).captures;
}

describe('what can be imported crosses as a reference', () => {
  /** The path must lead back to the very function. */
  async function assertReference(fn: unknown, module: string, way: readonly string[]): Promise<void> {
    assert.deepEqual(describeFunction(fn as AnyFunction), { kind: 'reference', module, path: way });
    let found: unknown = await loadModule(module);
    for (const name of way) found = (found as Record<string, unknown>)[name];
    assert.equal(found, fn);
  }

  test('exports of an ES module: named, renamed, default; members of exported classes and objects', async () => {
    const library = await load('library.mjs');
    const url = fixture('library.mjs');
    await assertReference(library.double, url, ['double']);
    await assertReference(library.counter, url, ['counter']);
    await assertReference(library.default, url, ['default']);
    await assertReference(library.Shape, url, ['Shape']);
    await assertReference(library.Shape?.unit, url, ['Shape', 'unit']);
    await assertReference((library.Shape as unknown as { prototype: Anything }).prototype.area, url, [
      'Shape',
      'prototype',
      'area',
    ]);
    await assertReference(library.tools?.triple, url, ['tools', 'triple']);
    await assertReference(library.numbers, url, ['numbers']);
  });

  test('default exports that no variable holds', async () => {
    const object = await load('default-object.mjs');
    await assertReference(object.default?.task, fixture('default-object.mjs'), ['default', 'task']);
    await assertReference(object.default?.arrow, fixture('default-object.mjs'), ['default', 'arrow']);
    const constant = await load('default-constant.mjs');
    await assertReference(constant.default, fixture('default-constant.mjs'), ['default']);
    const anonymous = await load('default-class.mjs');
    await assertReference(anonymous.default, fixture('default-class.mjs'), ['default']);
  });

  test('exports of CommonJS, compiled ones too', async () => {
    const common = (await load('common.cjs')).default as Anything[string];
    const url = fixture('common.cjs');
    await assertReference(common.sum, url, ['default', 'sum']);
    await assertReference(common.Box, url, ['default', 'Box']);
    await assertReference((common.Box as unknown as Anything).empty, url, ['default', 'Box', 'empty']);
    const whole = (await load('whole.cjs')).default;
    await assertReference(whole, fixture('whole.cjs'), ['default']);
    await assertReference(whole?.part, fixture('whole.cjs'), ['default', 'part']);
    const compiled = (await load('compiled.cjs')).default;
    await assertReference(compiled?.task, fixture('compiled.cjs'), ['default', 'task']);
  });

  test('functions of Node and of the language', async () => {
    await assertReference(Math.max, 'globalThis', ['Math', 'max']);
    await assertReference(parseInt, 'globalThis', ['parseInt']);
    await assertReference(Array.prototype.map, 'globalThis', ['Array', 'prototype', 'map']);
    await assertReference(Map, 'globalThis', ['Map']);
    await assertReference(setTimeout, 'globalThis', ['setTimeout']);
    await assertReference(console.log, 'globalThis', ['console', 'log']);
    await assertReference(fs.readFileSync, 'node:fs', ['default', 'readFileSync']);
    await assertReference(path.basename, 'node:path', ['default', 'basename']);
    await assertReference(promisify, 'node:util', ['default', 'promisify']);
  });
});

describe('anything else crosses as its source', () => {
  test('a function that its module keeps to itself', async () => {
    const library = await load('library.mjs');
    const captures = capturesOf((library.getNotExported as unknown as () => AnyFunction)());
    assert.deepEqual(captures, [{ name: 'double', value: library.double }]);
    const common = (await load('common.cjs')).default as Anything[string];
    const hidden = (common.getHidden as unknown as () => AnyFunction)();
    assert.deepEqual(capturesOf(hidden), [
      { name: 'exports', module: fixture('common.cjs'), export: 'default' },
    ]);
  });

  test('a function that an exported one made', async () => {
    const library = await load('library.mjs');
    const add = (library.makeAdder as unknown as (n: number) => AnyFunction)(3);
    assert.deepEqual(capturesOf(add), [{ name: 'n', value: 3 }]);
  });

  test('imports travel as imports, wherever they lead', async () => {
    const { cases } = (await import(fixture('closures.mjs'))) as { cases: Record<string, [AnyFunction]> };
    const importOf = (name: string) => capturesOf(cases[name]?.[0] as AnyFunction)[0];
    const library = fixture('library.mjs');
    assert.deepEqual(importOf('namedImport'), { name: 'double', module: library, export: 'double' });
    assert.deepEqual(importOf('renamedImport'), {
      name: 'renamedCounter',
      module: library,
      export: 'counter',
    });
    assert.deepEqual(importOf('namespaceImport'), { name: 'library', module: library, export: '*' });
    assert.deepEqual(importOf('builtinNamespace'), { name: 'path', module: 'node:path', export: '*' });
  });

  test('captured modules of CommonJS travel as imports', async () => {
    const module = (await import(fixture('closures.cjs'))) as {
      default: { cases: Record<string, [AnyFunction]> };
    };
    const { cases } = module.default;
    const importsOf = (name: string) => capturesOf(cases[name]?.[0] as AnyFunction);
    const common = fixture('common.cjs');
    assert.deepEqual(importsOf('wholeModule')[0], { name: 'common', module: common, export: 'default' });
    assert.deepEqual(importsOf('importStar'), [{ name: 'star_1', module: common, export: '*' }]);
    assert.deepEqual(importsOf('toESM'), [{ name: 'esbuild_1', module: common, export: '*' }]);
    assert.deepEqual(
      importsOf('builtinModule').map(capture => 'module' in capture && capture.module),
      ['node:fs', 'node:path'],
    );
  });

  test('a namespace in a variable is known by the functions it exports', async () => {
    const namespace = await import(fixture('library.mjs'));
    assert.deepEqual(
      capturesOf(() => namespace),
      [{ name: 'namespace', module: fixture('library.mjs'), export: '*' }],
    );
  });

  test('a default export of the entry module that has no name', async () => {
    setEntry(fixture('entry.mjs'));
    const { default: anonymous } = (await import(fixture('entry.mjs'))) as { default: AnyFunction };
    const description = describeFunction(anonymous) as Source;
    assert.equal(description.shell.form, 'expression');
    assert.equal(description.shell.name, 'default');
  });

  test('captured values are those of the moment', () => {
    let count = 0;
    const read = () => count;
    assert.deepEqual(capturesOf(read), [{ name: 'count', value: 0 }]);
    count = 5;
    assert.deepEqual(capturesOf(read), [{ name: 'count', value: 5 }]);
  });

  test('only what the function uses is captured, and no globals', () => {
    const used = { a: 1 };
    const unused = 2;
    const both = () => [used, unused];
    const one = (both: { max: number }) => [used.a, both.max, Math.max, { unused: 1 }.unused];
    assert.deepEqual(capturesOf(one), [{ name: 'used', value: used }]);
    assert.equal(capturesOf(both).length, 2);
  });
});

describe('what cannot cross is a SerializationError that names it', () => {
  function refused(fn: AnyFunction, expected: { path: string; message: RegExp }): void {
    assert.throws(
      () => describeFunction(fn),
      error => {
        assert.ok(error instanceof SerializationError);
        assert.equal(error.path, expected.path);
        assert.match(error.message, expected.message);
        return true;
      },
    );
  }

  class Counter extends Object {
    value = 1;
    #secret = 2;
    arrow() {
      const task = () => this.value;
      return task;
    }
    reveal() {
      return this.#secret;
    }
    viaSuper() {
      const task = () => super.toString();
      return task;
    }
    override() {
      return super.toString();
    }
  }

  test('this, super, new.target and arguments of the function around', () => {
    const counter = new Counter();
    refused(counter.arrow(), {
      path: 'closure of task → this',
      message: /captures 'this'.*copy what it needs/,
    });
    refused(counter.viaSuper(), { path: 'closure of task → super', message: /captures 'super'/ });
    function outer(this: unknown, ..._rest: unknown[]) {
      // biome-ignore lint/complexity/noArguments: what is tested
      const withArguments = () => arguments.length;
      const withTarget = () => new.target;
      return [withArguments, withTarget] as const;
    }
    const [withArguments, withTarget] = outer(1);
    refused(withArguments, { path: 'closure of withArguments → arguments', message: /rest parameters/ });
    refused(withTarget, { path: 'closure of withTarget → new.target', message: /new\.target/ });
  });

  test('a method that needs its class', () => {
    refused(Counter.prototype.reveal, {
      path: 'closure of reveal → #secret',
      message: /#secret, private.*pass the class/,
    });
    refused(Counter.prototype.override, {
      path: 'closure of override → super',
      message: /'super'.*pass the class/,
    });
    assert.equal(describeFunction(Counter).kind, 'source');
  });

  test('native, bound and proxied functions', () => {
    const bound = function task(this: unknown) {}.bind(null);
    refused(bound, { path: 'bound task', message: /bound: pass an arrow function instead/ });
    refused(new Proxy(() => 1, {}), { path: 'anonymous function', message: /proxy/ });
    refused(nativeResolve(), { path: 'anonymous function', message: /native code/ });
    refused(promisify(fs.readFile), { path: 'readFile', message: /native code/ });
  });

  function nativeResolve(): AnyFunction {
    let resolve: AnyFunction = () => undefined;
    new Promise(native => {
      resolve = native;
    });
    return resolve;
  }

  test('a variable that has no value yet', () => {
    const task = () => later;
    refused(task, { path: 'closure of task → later', message: /later has no value yet/ });
    const later = { value: 1 };
    assert.deepEqual(capturesOf(task), [{ name: 'later', value: later }]);
  });

  test("CommonJS's module and the whole of an entry's exports", async () => {
    setEntry(fixture('entry.cjs'));
    const entry = (await load('entry.cjs')).default as Anything[string];
    refused(entry.usesModule as AnyFunction, {
      path: 'closure of anonymous function → module',
      message: /'module'/,
    });
    refused(entry.usesExports as AnyFunction, {
      path: 'closure of anonymous function → exports',
      message: /exports\.member/,
    });
    const description = describeFunction(entry.usesMember as AnyFunction) as Source;
    assert.deepEqual(description.captures, [{ name: 'exports', value: { limit: 5 } }]);
  });
});

test('describing leaves nothing behind: no globals, no debugger', () => {
  const before = Reflect.ownKeys(globalThis);
  describeFunction(() => before);
  assert.deepEqual(Reflect.ownKeys(globalThis), before);
  assert.equal(inspector.url(), undefined);
});

test('a script is read once, whatever others are met in between', context => {
  const fresh = [1, 2, 3].map(n => new Function(`return () => ${n}`) as () => AnyFunction);
  for (const make of fresh) describeFunction(make());
  describeFunction(() => 'here');
  const post = context.mock.method(inspector.Session.prototype, 'post');
  for (const make of fresh) describeFunction(make());
  describeFunction(() => 'and here');
  const methods = post.mock.calls.map(call => String(call.arguments[0]));
  assert.ok(methods.length > 0);
  assert.deepEqual(
    methods.filter(method => method.startsWith('Debugger')),
    [],
  );
});

test('a debugger that is attached stays so', () => {
  const session = new inspector.Session();
  session.connect();
  let parsed = 0;
  session.on('Debugger.scriptParsed', () => parsed++);
  session.post('Debugger.enable');
  const fresh = new Function('return () => 1') as () => AnyFunction;
  assert.equal(describeFunction(fresh()).kind, 'source');
  const before = parsed;
  new Function('return 2');
  assert.ok(parsed > before);
  session.disconnect();
});

test('loadedModule() gives at once what require() can, and nothing else', async () => {
  assert.equal((loadedModule('node:path') as { default: unknown }).default, path);
  assert.equal(loadedModule('globalThis'), globalThis);
  assert.equal(loadedModule(fixture('awaits.mjs')), undefined);
  assert.equal(((await loadModule(fixture('awaits.mjs'))) as { ready: boolean }).ready, true);
  assert.ok(loadedModule(fixture('awaits.mjs')));
  assert.throws(() => loadedModule(fixture('throws.cjs')), /thrown while loading/);
  await assert.rejects(async () => loadModule(fixture('throws.cjs')), /thrown while loading/);
});
