import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { types } from 'node:util';
import {
  ManyhandsError,
  RemoteError,
  SerializationError,
  TimeoutError,
  WorkerDiedError,
} from '../errors/errors.js';
import { decode } from './decode.js';
import { encode } from './encode.js';
import { decodeThrown, decodeThrownAsync, encodeThrown, joinStacks } from './errors.js';
import { NotFoundError, Secret } from './fixtures.js';

function crossThrown<T>(value: T): T {
  return decodeThrown(encodeThrown(value)) as T;
}

function assertSameError(back: Error, error: Error): void {
  assert.notEqual(back, error);
  assert.ok(types.isNativeError(back));
  assert.equal(Object.getPrototypeOf(back), Object.getPrototypeOf(error));
  assert.equal(back.stack, error.stack);
  assert.deepEqual(Object.keys(back), Object.keys(error));
  assert.deepEqual(Object.getOwnPropertyNames(back).sort(), Object.getOwnPropertyNames(error).sort());
  assert.deepStrictEqual(back, error);
}

for (const type of [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]) {
  test(`${type.name} comes back as itself with cause and own fields`, () => {
    const error = Object.assign(new type('no', { cause: { deep: new Error('why') } }), {
      code: 'E_NO',
      list: [1],
    });
    assertSameError(crossThrown(error), error);
    assertSameError(decode(encode(error)) as Error, error);
  });
}

test('AggregateError keeps its errors', () => {
  const error = new AggregateError([new TypeError('a'), 'b'], 'both');
  const back = crossThrown(error);
  assertSameError(back, error);
  assert.ok(back.errors[0] instanceof TypeError);
});

test('an AbortError made by the platform keeps name, message and code', () => {
  const error = new DOMException('given up', 'AbortError');
  const back = crossThrown(error);
  assert.ok(back instanceof DOMException);
  assert.deepEqual(
    [back.name, back.message, back.code, back.stack],
    ['AbortError', 'given up', error.code, error.stack],
  );
});

test('Node’s own errors keep their codes', async () => {
  const missing = (() => {
    try {
      return fs.readFileSync('/does/not/exist');
    } catch (error) {
      return error as NodeJS.ErrnoException;
    }
  })() as NodeJS.ErrnoException;
  assertSameError(crossThrown(missing), missing);
  const invalid = (() => {
    try {
      return Buffer.alloc(-1);
    } catch (error) {
      return error;
    }
  })() as NodeJS.ErrnoException;
  const backInvalid = crossThrown(invalid);
  assert.ok(backInvalid instanceof RangeError);
  assert.equal(backInvalid.code, invalid.code);
  const aborted = await sleep(1000, null, { signal: AbortSignal.abort() }).catch(
    (error: unknown) => error as Error,
  );
  const back = crossThrown(aborted) as NodeJS.ErrnoException;
  assert.deepEqual([back.name, back.code], ['AbortError', 'ABORT_ERR']);
  const failed = (() => {
    try {
      return assert.equal(1, 2);
    } catch (error) {
      return error;
    }
  })();
  assert.ok(crossThrown(failed) instanceof assert.AssertionError);
});

test('this library’s errors come back as themselves with their fields', () => {
  const died = new WorkerDiedError('gone', {
    pid: 5,
    exitCode: null,
    signalCode: 'SIGKILL',
    cause: new Error('x'),
  });
  for (const error of [died, new TimeoutError('late'), new SerializationError('no', { path: 'args[0]' })]) {
    const back = crossThrown(error);
    assertSameError(back, error);
    assert.ok(back instanceof ManyhandsError);
  }
});

test('an error of an importable class comes back as one of that class', () => {
  const error = new NotFoundError(7);
  const back = crossThrown(error);
  assertSameError(back, error);
  assert.ok(back instanceof NotFoundError);
});

test('an error of a class that cannot be imported becomes a RemoteError with everything else kept', () => {
  class LocalError extends RangeError {
    code = 'E_LOCAL';
    details = { a: [1] };
  }
  const error = new LocalError('here only', { cause: new LocalError('inner') });
  const back = crossThrown<Error>(error) as RemoteError;
  assert.ok(back instanceof RemoteError);
  assert.equal(back.remoteName, 'LocalError');
  assert.equal(back.message, 'here only');
  assert.equal(back.stack, error.stack);
  assert.equal(back.code, 'E_LOCAL');
  assert.deepEqual((back as unknown as LocalError).details, { a: [1] });
  assert.ok(back.cause instanceof RemoteError && back.cause.message === 'inner');
});

test('an error of a class with private members becomes a RemoteError, too', () => {
  class Hidden extends Error {
    #secret = 1;
    get secret(): number {
      return this.#secret;
    }
  }
  const back: unknown = crossThrown(new Hidden('quiet'));
  assert.ok(back instanceof RemoteError && back.remoteName === 'Hidden' && back.message === 'quiet');
});

test('what is thrown without being an error comes back as it is', () => {
  for (const value of ['text', undefined, null, 0, -0, { code: 5 }, [1]])
    assert.deepStrictEqual(crossThrown(value), value);
});

test('properties that cannot cross are left out and named; the rest is kept', () => {
  const cause = Object.assign(new TypeError('inner'), { socket: new Proxy({}, {}), port: 80 });
  const error = Object.assign(new Error('outer', { cause }), { promise: Promise.resolve(), path: '/x' });
  const back = crossThrown<object>(error) as typeof error & {
    notSent: string[];
    cause: typeof cause & { notSent: string[] };
  };
  assert.equal(back.message, 'outer');
  assert.equal(back.stack, error.stack);
  assert.equal(back.path, '/x');
  assert.deepEqual(back.notSent, ['promise']);
  assert.equal(Object.hasOwn(back, 'promise'), false);
  assert.equal(Object.getPrototypeOf(back.cause), TypeError.prototype);
  assert.equal(back.cause.port, 80);
  assert.deepEqual(back.cause.notSent, ['socket']);
});

test('a getter that throws is left out, too', () => {
  const error = new Error('outer');
  Object.defineProperty(error, 'bad', {
    enumerable: true,
    get() {
      throw new Error('getter');
    },
  });
  assert.deepEqual((crossThrown(error) as Error & { notSent?: string[] }).notSent, ['bad']);
});

test('whatever is thrown, something tells of it on the other side', () => {
  const strange: unknown[] = [
    Promise.resolve(),
    new Secret(),
    Symbol('mine'),
    new Proxy(new Error('proxied'), {}),
    { socket: new WeakMap() },
    Object.create(Error.prototype, {
      message: {
        get() {
          throw new Error('no');
        },
      },
    }),
    Object.defineProperty(new Error('x'), 'stack', {
      get() {
        throw new Error('no');
      },
    }),
    Object.assign(
      new Error('many'),
      Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`p${i}`, Promise.resolve()])),
    ),
  ];
  for (const thrown of strange) {
    const back: unknown = crossThrown(thrown);
    assert.ok(back instanceof Error);
    assert.ok(!(back instanceof SerializationError), back.message);
  }
  const [promise, , , , , , , many] = strange.map(thrown => crossThrown(thrown) as RemoteError);
  assert.match(promise.message, /Promise/);
  assert.equal(many.message, 'many');
});

test('a thrown value that cannot be read is told as a SerializationError', async () => {
  const bytes = encodeThrown(new NotFoundError(1)).slice(0, -1);
  assert.ok(decodeThrown(bytes) instanceof SerializationError);
  assert.ok((await decodeThrownAsync(bytes)).value instanceof SerializationError);
  const { value } = await decodeThrownAsync(encodeThrown(new NotFoundError(1)));
  assert.ok(value instanceof NotFoundError);
});

test('joinStacks() shows the remote frames, then the local ones', () => {
  const error = crossThrown(new Error('over there'));
  const remote = error.stack ?? '';
  joinStacks(error, 'Error: ignored\n    at here (file.js:1:2)\n    at there (file.js:3:4)');
  assert.equal(
    error.stack,
    `${remote}\n    at (called from)\n    at here (file.js:1:2)\n    at there (file.js:3:4)`,
  );
  assert.ok(!Object.keys(error).includes('stack'));
  joinStacks('no error', 'Error');
  joinStacks(Object.freeze(new Error('frozen')), 'Error');
});
