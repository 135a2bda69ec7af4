import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { ClosedError, LifecycleError, SerializationError, TimeoutError } from '../errors/errors.js';
import { Lock } from '../sync/lock.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { crowds, ended, LIMIT, warmCarriers } from '../testing/sharing.js';
import { Connection } from './connection.js';
import { Pipe } from './pipe.js';
import { closeAll, receivers, senders, unread, untilReceiving, untilSending } from './testing/pipes.js';
import { failureOf, outcomes, range } from './testing/queues.js';
import { wait } from './wait.js';

/* What goes through a pipe: values, bytes, order, room, time limits, aborts. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const MIB = 2 ** 20;

/** Fills the way from this end, so that the next message must wait. */
function fill(from: Connection): number {
  let count = 0;
  const bytes = new Uint8Array(MIB);
  for (;;) {
    try {
      from.sendSync(bytes, { timeout: 0 });
      count++;
    } catch (error) {
      assert.ok(error instanceof TimeoutError, String(error));
      return count;
    }
  }
}

describe('making a pipe', () => {
  test('gives two ends of which each sends and receives', LIMIT, async () => {
    const [a, b] = Pipe<unknown>();
    assert.ok(a instanceof Connection && b instanceof Connection && a !== b);
    for (const end of [a, b]) assert.deepEqual([end.readable, end.writable, end.closed], [true, true, false]);
    await a.send({ to: 'b' });
    b.sendSync({ to: 'a' });
    assert.deepEqual([a.recvSync(), await b.recv()], [{ to: 'a' }, { to: 'b' }]);
    closeAll(a, b);
  });

  test('one way, the first only receives, and the second only sends', LIMIT, async () => {
    const [to, from] = Pipe<number>({ duplex: false });
    assert.deepEqual([to.readable, to.writable, from.readable, from.writable], [true, false, false, true]);
    await from.send(7);
    assert.equal(await to.recv(), 7);
    const bytes = new Uint8Array(1);
    for (const call of [() => to.send(1), () => to.sendSync(1), () => to.sendBytes(bytes)]) {
      const error = await failureOf(call);
      assert.ok(error instanceof LifecycleError, String(error));
      assert.match(error.message, /^Cannot send to Connection \d+\.0 as its pipe goes the other way: /);
    }
    const receiving = [() => from.recv(), () => from.recvSync(), () => from.recvBytes(), () => from.poll()];
    for (const call of [...receiving, () => from[Symbol.asyncIterator]().next(), () => wait([from])]) {
      const error = await failureOf(call);
      assert.ok(error instanceof LifecycleError, String(error));
      assert.match(error.message, /^Cannot receive from Connection \d+\.1 as its pipe goes the other way: /);
    }
    closeAll(to, from);
  });

  test('refuses what are no options', () => {
    for (const options of [null, 1, 'duplex']) assert.throws(() => Pipe(options as never), TypeError);
  });
});

describe('messages', () => {
  test('come in the order in which they were sent, by whatever form, to whatever form', LIMIT, async () => {
    const [a, b] = Pipe<number>();
    const send = [
      (i: number) => a.send(i),
      (i: number) => a.sendSync(i),
      (i: number) => a.send(i, { timeout: 0 }),
      (i: number) => a.sendSync(i, { timeout: 1000 }),
    ];
    const recv = [
      () => b.recv(),
      () => b.recvSync(),
      () => b.recv({ timeout: 0 }),
      () => b.recvSync({ timeout: 0 }),
    ];
    for (const i of range(400)) await send[i % send.length](i);
    for (const i of range(400)) assert.equal(await recv[i % recv.length](), i);
    closeAll(a, b);
  });

  test('are copies, of all that can cross', LIMIT, async () => {
    const [a, b] = Pipe<any>();
    using lock = new Lock();
    const value = { list: [1, 'two', 3n, null, undefined], map: new Map([[{}, new Date(5)]]), lock };
    a.sendSync(value);
    value.list.push(4);
    const got = b.recvSync();
    assert.deepEqual(got.list, [1, 'two', 3n, null, undefined]);
    assert.deepEqual(got.map, value.map);
    assert.equal(got.lock, lock);
    a.sendSync((x: number) => x + value.list.length);
    assert.equal(b.recvSync()(1), 7);
    closeAll(a, b);
  });

  test('that cannot be encoded are refused, and the pipe is as it was', LIMIT, async () => {
    const [a, b] = Pipe<unknown>();
    const bad = { deep: [new WeakMap()] };
    for (const send of [() => a.send(bad), () => a.sendSync(bad)]) {
      const error = await failureOf(send);
      assert.ok(error instanceof SerializationError, String(error));
      assert.equal(error.path, 'item.deep[0]');
    }
    assert.equal(await b.poll(), false);
    a.sendSync('next');
    assert.equal(b.recvSync(), 'next');
    closeAll(a, b);
  });

  test('from nothing to 64 MiB arrive whole', LIMIT, async () => {
    const [a, b] = Pipe<Uint8Array>();
    for (const size of [0, 1, 2000, 2048, 2049, 5000, 70_000, 3 * MIB, 64 * MIB]) {
      const bytes = new Uint8Array(size).fill(size % 251);
      a.sendSync(bytes);
      const value = b.recvSync();
      await a.sendBytes(bytes);
      assert.ok(Buffer.from(value).equals(bytes), `a value of ${size} bytes`);
      assert.ok(Buffer.from(await b.recvBytes()).equals(bytes), `${size} bytes as they are`);
    }
    closeAll(a, b);
  });
});

describe('bytes', () => {
  test('keep their bounds, as many messages as were sent, empty ones too', LIMIT, async () => {
    const [a, b] = Pipe();
    const sizes = [0, 3, 0, 0, 4096, 1, 0];
    for (const size of sizes) await a.sendBytes(new Uint8Array(size).fill(9));
    for (const size of sizes) assert.deepEqual(await b.recvBytes(), new Uint8Array(size).fill(9));
    assert.equal(await b.poll(), false);
    closeAll(a, b);
  });

  test('are given by recv() as well, and are the caller’s own', LIMIT, async () => {
    const [a, b] = Pipe();
    const bytes = Buffer.from('bytes');
    await a.sendBytes(bytes);
    await a.sendBytes(bytes);
    bytes.fill(0);
    const first = await b.recv();
    assert.equal(Object.getPrototypeOf(first), Uint8Array.prototype);
    assert.equal(Buffer.from(first).toString(), 'bytes');
    first.fill(0);
    assert.equal(Buffer.from(b.recvSync()).toString(), 'bytes');
    closeAll(a, b);
  });

  test('longer than maxLength stay in the pipe, and the error tells their length', LIMIT, async () => {
    const [a, b] = Pipe();
    for (const size of [10, 100_000]) {
      await a.sendBytes(new Uint8Array(size).fill(1));
      for (const maxLength of [0, size - 1]) {
        const error = await failureOf(() => b.recvBytes({ maxLength }));
        assert.ok(error instanceof RangeError, String(error));
        assert.match(error.message, new RegExp(`a message of ${size} bytes .* "maxLength" is ${maxLength}`));
        assert.equal(await b.poll(), true);
      }
      assert.equal((await b.recvBytes({ maxLength: size })).length, size);
    }
    await a.sendBytes(new Uint8Array(0));
    assert.equal((await b.recvBytes({ maxLength: 0 })).length, 0);
    closeAll(a, b);
  });

  test('are no values: recvBytes() leaves a value for recv()', LIMIT, async () => {
    const [a, b] = Pipe<unknown>();
    for (const value of [1, new Uint8Array(5), 'x'.repeat(10_000)]) {
      a.sendSync(value);
      for (const call of [() => b.recvBytes(), () => b.recvBytes({ maxLength: 1 })]) {
        const error = await failureOf(call);
        assert.ok(error instanceof SerializationError, String(error));
        assert.match(error.message, /use recv\(\)$/);
      }
      assert.deepEqual(await b.recv(), value);
    }
    closeAll(a, b);
  });

  test('who waits for them and is called for a value leaves it to the next in line', LIMIT, async () => {
    const [a, b] = Pipe<unknown>();
    const waits = [b.recvBytes(), b.recvBytes({ maxLength: 2 }), b.recv()];
    assert.equal(receivers(b), 3);
    a.sendSync('a value');
    assert.deepEqual(await outcomes(waits), ['ERR_SERIALIZATION', 'ERR_SERIALIZATION', 'a value']);
    assert.equal(receivers(b), 0);
    closeAll(a, b);
  });

  test('refuses what are no bytes, and what is no length', LIMIT, async () => {
    const [a, b] = Pipe();
    for (const bytes of ['x', 1, null, [1], new Float64Array(1), new ArrayBuffer(1)])
      assert.ok((await failureOf(() => a.sendBytes(bytes as never))) instanceof TypeError);
    for (const maxLength of [-1, Number.NaN])
      assert.ok((await failureOf(() => b.recvBytes({ maxLength }))) instanceof RangeError);
    for (const maxLength of ['1', null])
      assert.ok((await failureOf(() => b.recvBytes({ maxLength: maxLength as never }))) instanceof TypeError);
    assert.equal(unread(a), 0);
    closeAll(a, b);
  });
});

describe('poll', () => {
  test('does not wait unless it is told to, and takes nothing', LIMIT, async () => {
    const [a, b] = Pipe<number>();
    assert.equal(await b.poll(), false);
    assert.equal(await b.poll({ timeout: 5 }), false);
    a.sendSync(1);
    for (let i = 0; i < 3; i++) assert.equal(await b.poll(), true);
    assert.equal(await b.poll({ timeout: 1e6 }), true);
    assert.equal(await a.poll(), false);
    assert.equal(b.recvSync(), 1);
    assert.equal(await b.poll(), false);
    closeAll(a, b);
  });

  test('hears of a message that comes meanwhile, as often as it is asked', LIMIT, async () => {
    const [a, b] = Pipe<number>();
    const polls = range(3).map(() => b.poll({ timeout: 1e6 }));
    a.sendSync(5);
    assert.deepEqual(await Promise.all(polls), [true, true, true]);
    assert.equal(unread(a), 1);
    closeAll(a, b);
  });

  test('is true at the end of file, and fails at an end that was closed', LIMIT, async () => {
    const [a, b] = Pipe<number>();
    const waiting = b.poll({ timeout: 1e6 });
    a.close();
    assert.equal(await waiting, true);
    assert.equal(await b.poll(), true);
    b.close();
    await assert.rejects(b.poll(), ClosedError);
    await assert.rejects(b.poll({ timeout: 5 }), ClosedError);
  });

  test('can be called off', LIMIT, async () => {
    const [a, b] = Pipe<number>();
    const reason = new Error('no more');
    await assert.rejects(b.poll({ timeout: 1e6, signal: AbortSignal.abort(reason) }), reason);
    const controller = new AbortController();
    const poll = b.poll({ timeout: 1e6, signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(poll, reason);
    closeAll(a, b);
  });

  test('serves wait(), with others', LIMIT, async () => {
    const [a, b] = Pipe<number>();
    const [c, d] = Pipe<number>();
    const waiting = wait([d, b, a]);
    a.sendSync(1);
    assert.deepEqual(await waiting, [b]);
    c.close();
    assert.deepEqual(await wait([d, b]), [d, b]);
    closeAll(a, b, d);
  });
});

describe('room', () => {
  test('is for 16 MiB that lie unread, each way; then sending waits', LIMIT, async () => {
    const [a, b] = Pipe<unknown>();
    const count = fill(a);
    assert.ok(count === 15 || count === 16, `${count} MiB`);
    assert.equal(unread(a), count);
    b.sendSync('the other way');
    assert.equal(a.recvSync(), 'the other way');
    const bytes = new Uint8Array(MIB);
    const waits = [a.send(bytes), a.sendBytes(bytes), a.send(bytes, { timeout: 1e6 })];
    assert.equal(senders(a), 3);
    for (const _ of range(3)) b.recvSync();
    await Promise.all(waits);
    assert.equal(unread(a), count);
    closeAll(a, b);
  });

  test('is for one message of any length', LIMIT, async () => {
    const [a, b] = Pipe<Uint8Array>();
    a.sendSync(new Uint8Array(40 * MIB));
    await assert.rejects(a.send(new Uint8Array(1), { timeout: 0 }), TimeoutError);
    const next = a.send(new Uint8Array(30 * MIB));
    assert.equal(b.recvSync().length, 40 * MIB);
    await next;
    assert.equal(b.recvSync().length, 30 * MIB);
    closeAll(a, b);
  });
});

describe('giving up', () => {
  test('time that runs out leaves nothing behind, and is a TimeoutError', LIMIT, async () => {
    const [a, b] = Pipe<unknown>();
    const receive = [
      () => b.recv({ timeout: 0 }),
      () => b.recv({ timeout: 3 }),
      () => b.recvSync({ timeout: 0 }),
      () => b.recvSync({ timeout: 3 }),
      () => b.recvBytes({ timeout: 3 }),
    ];
    for (const call of receive) {
      const error = await failureOf(call);
      assert.ok(error instanceof TimeoutError && error.code === 'ERR_TIMEOUT', String(error));
      assert.match(error.message, /^Cannot receive from Connection \d+\.1 as nothing came in time: /);
    }
    assert.equal(receivers(b), 0);
    const before = fill(a);
    const bytes = new Uint8Array(MIB);
    const send = [
      () => a.send(bytes, { timeout: 0 }),
      () => a.send(bytes, { timeout: 3 }),
      () => a.sendSync(bytes, { timeout: 0 }),
      () => a.sendSync(bytes, { timeout: 3 }),
      () => a.sendBytes(bytes, { timeout: 3 }),
    ];
    for (const call of send) {
      const error = await failureOf(call);
      assert.ok(error instanceof TimeoutError && error.code === 'ERR_TIMEOUT', String(error));
      assert.match(error.message, /^Cannot send to Connection \d+\.0 as there was no room in time: /);
    }
    assert.deepEqual([senders(a), unread(a)], [0, before]);
    closeAll(a, b);
  });

  test('an abort, before or while it waits, rejects with the reason and leaves nothing', LIMIT, async () => {
    const [a, b] = Pipe<unknown>();
    const reason = new Error('no more');
    const aborted = { signal: AbortSignal.abort(reason) };
    for (const call of [() => a.send(1, aborted), () => b.recv(aborted), () => b.recvBytes(aborted)])
      assert.equal(await failureOf(call), reason);
    assert.equal(unread(a), 0);
    const controller = new AbortController();
    const { signal } = controller;
    fill(b);
    const waits = [b.recv({ signal }), b.recvBytes({ signal }), b.send(new Uint8Array(MIB), { signal })];
    assert.deepEqual([receivers(b), senders(b)], [2, 1]);
    controller.abort(reason);
    for (const one of waits) assert.equal(await failureOf(() => one), reason);
    assert.deepEqual([receivers(b), senders(b)], [0, 0]);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    closeAll(a, b);
  });

  test('loses and doubles nothing, whenever it comes', LIMIT, async () => {
    const [a, b] = Pipe<number>({ duplex: true });
    const sent: number[] = [];
    const got: number[] = [];
    let random = 12345;
    const dice = (sides: number) => {
      random = (Math.imul(random, 1103515245) + 12345) >>> 0;
      return (random >>> 8) % sides;
    };
    const pending: Promise<unknown>[] = [];
    for (let i = 0; i < 3000; i++) {
      const controller = new AbortController();
      const options = dice(2) ? { signal: controller.signal } : { timeout: dice(3) };
      if (dice(2)) {
        const received = b.recv(options).then(value => got.push(value));
        pending.push(received.catch(() => {}));
      } else {
        pending.push(
          a.send(i, options).then(
            () => sent.push(i),
            () => {},
          ),
        );
      }
      if (dice(3) === 0) controller.abort();
      if (dice(8) === 0) await Promise.race([pending[dice(pending.length)], new Promise(setImmediate)]);
    }
    a.close();
    for await (const value of b) got.push(value);
    await Promise.all(pending);
    assert.deepEqual(
      got.sort((x, y) => x - y),
      sent.sort((x, y) => x - y),
    );
    b.close();
  });

  test('wrong options are refused before anything is done', LIMIT, async () => {
    const [a, b] = Pipe<number>();
    a.sendSync(1);
    for (const timeout of [-1, Number.NaN, '5' as never]) {
      const calls = [() => a.send(2, { timeout }), () => a.sendSync(2, { timeout })];
      const others = [() => b.recv({ timeout }), () => b.recvSync({ timeout }), () => b.poll({ timeout })];
      for (const call of [...calls, ...others]) {
        const error = await failureOf(call);
        assert.ok(error instanceof RangeError || error instanceof TypeError, String(error));
      }
    }
    assert.equal(unread(a), 1);
    closeAll(a, b);
  });
});

for (const carrier of crowds)
  describe(`between this thread and ${carrier.name}`, () => {
    test('ping-pong, blocking and async', LIMIT, async () => {
      const [a, b] = Pipe<number>();
      const peer = carrier.start(async end => {
        for (let i = 0; i < 200; i++) end.sendSync(end.recvSync() + 1);
        for await (const message of end) await end.send(message + 1);
        return 'the end';
      }, b);
      b.close();
      for (const i of range(400)) {
        if (i % 3 === 0) a.sendSync(i);
        else await a.send(i);
        assert.equal(i % 2 === 0 ? a.recvSync() : await a.recv(), i + 1);
      }
      a.close();
      assert.deepEqual(await ended(peer), ['the end']);
    });

    test('five report through one end, each in its order', LIMIT, async () => {
      const [to, from] = Pipe<[who: number, what: number]>({ duplex: false });
      const peers = range(5).map(who =>
        carrier.start(
          async (end, me) => {
            for (let i = 0; i < 300; i++) {
              if (i % 2 === 0) end.sendSync([me, i]);
              else await end.send([me, i]);
            }
            end.close();
          },
          from,
          who,
        ),
      );
      from.close();
      const got: number[][] = range(5).map(() => []);
      for await (const [who, what] of to) got[who].push(what);
      for (const list of got) assert.deepEqual(list, range(300));
      await ended(...peers);
      to.close();
    });

    test(
      'several receive from one end, blocking and async: each message comes to one of them',
      LIMIT,
      async () => {
        const [to, from] = Pipe<number>({ duplex: false });
        const peers = range(3).map(who =>
          carrier.start(
            async (end, isAsync) => {
              const got: number[] = [];
              if (isAsync) for await (const message of end) got.push(message);
              else
                try {
                  for (;;) got.push(end.recvSync());
                } catch (error) {
                  if ((error as { code?: string }).code !== 'ERR_EOF') throw error;
                }
              return got;
            },
            to,
            who % 2 === 0,
          ),
        );
        for (const i of range(1000)) await from.send(i);
        from.close();
        to.close();
        const lists = await ended(...peers);
        for (const list of lists)
          assert.deepEqual(
            list,
            [...list].sort((x, y) => x - y),
            'each gets them in order',
          );
        assert.deepEqual(
          lists.flat().sort((x, y) => x - y),
          range(1000),
        );
      },
    );

    test('bytes of all sizes there and back', LIMIT, async () => {
      const [a, b] = Pipe();
      const peer = carrier.start(async end => {
        try {
          for (;;) await end.sendBytes(await end.recvBytes());
        } catch (error) {
          if ((error as { code?: string }).code !== 'ERR_EOF') throw error;
        }
      }, b);
      b.close();
      for (const size of [0, 1, 100, 2048, 2049, 100_000, 20 * MIB]) {
        const bytes = new Uint8Array(size).fill(size % 251);
        await a.sendBytes(bytes);
        assert.ok(Buffer.from(await a.recvBytes()).equals(bytes), `${size} bytes`);
      }
      a.close();
      await ended(peer);
    });

    test('who waits over there for a message or for room is called', LIMIT, async () => {
      const [a, b] = Pipe<unknown>();
      const peer = carrier.start(async end => {
        const first = end.recvSync();
        const bytes = new Uint8Array(1024 * 1024);
        for (let i = 0; i < 40; i++) end.sendSync(bytes);
        for (let i = 0; i < 40; i++) await end.send(bytes);
        return first;
      }, b);
      await untilReceiving(b, 1);
      a.sendSync('go');
      await untilSending(b, 1);
      for (const i of range(80)) {
        const message = (i % 2 === 0 ? a.recvSync() : await a.recv()) as Uint8Array;
        assert.equal(message.length, MIB);
      }
      assert.deepEqual(await ended(peer), ['go']);
      closeAll(a, b);
    });
  });
