import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { registerHandle } from '../codec/handles.js';
import { ClosedError, EndOfFileError } from '../errors/errors.js';
import { stats } from '../memory/allocator.js';
import { EventFlag } from '../sync/event-flag.js';
import { carriers, forked, type Peer } from '../testing/carriers.js';
import { collect } from '../testing/collect.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { crowds, ended, killed, LIMIT, numbers, untilIs, warmCarriers } from '../testing/sharing.js';
import type { Connection } from './connection.js';
import type { Exchange } from './exchange.js';
import { JoinableQueue } from './joinable-queue.js';
import { LifoQueue } from './lifo-queue.js';
import { borrow } from './parcel.js';
import { Pipe } from './pipe.js';
import { PriorityQueue } from './priority-queue.js';
import { Queue } from './queue.js';
import { closeAll, receivers, senders, unread, untilReceiving, untilSending } from './testing/pipes.js';
import { failureOf, outcomes, range } from './testing/queues.js';

/* Who holds the ends of a pipe, and what follows when nobody does: closed, dropped, killed, on their way. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

/** Crosses, and cannot be made anew. */
class Unreadable {}
registerHandle(
  'Unreadable',
  Unreadable,
  () => 0,
  () => {
    throw new Error('not here');
  },
);

const MIB = 2 ** 20;
const EOF = 'ERR_EOF';
const CLOSED = 'ERR_CLOSED';

function receiving(end: Connection): (() => unknown)[] {
  return [
    () => end.recv(),
    () => end.recv({ timeout: 0 }),
    () => end.recvSync(),
    () => end.recvSync({ timeout: 0 }),
    () => end.recvBytes(),
  ];
}

function sending(end: Connection): (() => unknown)[] {
  return [
    () => end.send(1),
    () => end.sendSync(1),
    () => end.send(new Uint8Array(10_000), { timeout: 0 }),
    () => end.sendBytes(new Uint8Array(1)),
  ];
}

function exchangeOf(queue: Queue): Exchange {
  return (queue as unknown as { exchange: Exchange }).exchange;
}

/** Is the pipe of this end, which nobody else has, at its end? */
async function isAtEnd(end: Connection): Promise<boolean> {
  return (await end.poll()) && (await failureOf(() => end.recv())).code === EOF;
}

describe('in one thread', () => {
  test('when the far end is gone, what it sent is received, and then the file ends', LIMIT, async () => {
    const [a, b] = Pipe<unknown>();
    for (const i of range(100)) a.sendSync(i);
    a.sendSync(new Uint8Array(5000));
    b.sendSync('nobody receives it');
    a.close();
    for (const i of range(100)) assert.equal(await b.recv(), i);
    assert.equal((b.recvSync() as Uint8Array).length, 5000);
    for (const call of receiving(b)) {
      const error = await failureOf(call);
      assert.ok(error instanceof EndOfFileError && error instanceof ClosedError, String(error));
      assert.equal(error.code, EOF);
      assert.match(error.message, /as the other end is gone and nothing is left: /);
    }
    for (const call of sending(b)) {
      const error = await failureOf(call);
      assert.ok(error instanceof ClosedError && error.code === CLOSED, String(error));
      assert.match(error.message, /^Cannot send to Connection \d+\.1 as the other end is gone: /);
    }
    assert.equal(await b.poll(), true);
    b.close();
  });

  test('iteration ends by itself', LIMIT, async () => {
    const [a, b] = Pipe<number>();
    const got: number[] = [];
    const reading = (async () => {
      for await (const message of b) got.push(message);
    })();
    for (const i of range(10)) await a.send(i);
    a.close();
    await reading;
    assert.deepEqual(got, range(10));
    b.close();
  });

  test(
    'an end that was closed is of no use; closing it again does nothing; `using` closes it',
    LIMIT,
    async () => {
      let kept: Connection;
      const [a, b] = Pipe<unknown>();
      {
        using end = a;
        kept = end;
      }
      assert.equal(kept.closed, true);
      for (const call of [...receiving(a), ...sending(a), () => a.poll(), () => b.send(a)]) {
        const error = await failureOf(call);
        assert.ok(error instanceof ClosedError || error.cause instanceof ClosedError, String(error));
      }
      a.close();
      assert.equal(b.closed, false);
      closeAll(a, b, b);
    },
  );

  test('close() ends what this thread waits for at that end, and nothing at the other', LIMIT, async () => {
    const [a, b] = Pipe<unknown>();
    a.sendSync(new Uint8Array(17 * MIB));
    const waits = [a.recv(), a.recvBytes(), a.recv({ timeout: 1e6 }), a.poll({ timeout: 1e6 }), a.send(1)];
    const others = [b.recv(), b.recv()];
    // Both of b wait for what a sends.
    assert.equal(((await others[0]) as Uint8Array).length, 17 * MIB);
    await waits[4];
    assert.equal(await others[1], 1);
    assert.equal(receivers(a), 3);
    const waiting = b.recv();
    a.close();
    assert.deepEqual(await outcomes(waits.slice(0, 4)), Array(4).fill(CLOSED));
    assert.deepEqual(await outcomes([waiting]), [EOF]);
    b.close();
  });

  test('closing wakes all who wait at the other end', LIMIT, async () => {
    const [a, b] = Pipe<unknown>();
    b.sendSync(new Uint8Array(17 * MIB));
    const waits = [
      b.recv(),
      b.recvBytes(),
      b.poll({ timeout: 1e6 }),
      b.send(1),
      b.sendBytes(new Uint8Array(1)),
    ];
    assert.deepEqual([receivers(b), senders(b)], [2, 2]);
    a.close();
    assert.deepEqual(await outcomes(waits), [EOF, EOF, true, CLOSED, CLOSED]);
    b.close();
  });

  test('an end that comes back is the same object, as long as it is open', LIMIT, async () => {
    const [a, b] = Pipe<unknown>();
    using queue = new Queue<Connection>();
    await queue.put(a);
    assert.equal(await queue.get(), a);
    a.sendSync([b, b, a]);
    const [first, second, third] = b.recvSync() as Connection[];
    assert.ok(first === b && second === b && third === a);
    await queue.put(a);
    a.close();
    const again = await queue.get();
    assert.ok(again !== a && !again.closed && a.closed);
    again.sendSync('by another object');
    assert.equal(b.recvSync(), 'by another object');
    closeAll(again, b);
  });

  test('an end that is dropped without a word is let go of', LIMIT, async () => {
    let [a, b]: (Connection | undefined)[] = Pipe();
    a.sendSync('sent before');
    a = undefined;
    const end = b as Connection;
    assert.equal(end.recvSync(), 'sent before');
    const reading = end.recv().catch(error => error.code);
    for (let i = 0; i < 20 && receivers(end) > 0; i++) await collect();
    assert.equal(await reading, EOF);
    end.close();
    b = undefined;
  });

  test('both ends dropped: all the pipe had is given back', LIMIT, async () => {
    const before = stats().used;
    const make = () => {
      const [a, b] = Pipe();
      a.sendSync(new Uint8Array(100_000));
      b.sendSync(a);
    };
    for (let i = 0; i < 20; i++) make();
    assert.ok(stats().used > before + 20 * 100_000);
    for (let i = 0; i < 20 && stats().used > before; i++) await collect(); // leavesNoBlocks() sees the rest
  });
});

for (const carrier of crowds)
  describe(`over ${carrier.name}`, () => {
    test(
      'the sender closes its own at once, and the end stays open for whom it was sent to',
      LIMIT,
      async () => {
        for (const i of range(3)) {
          const [r, w] = Pipe<number>({ duplex: false });
          const peer = carrier.start(end => end.sendSync(7), w);
          w.close();
          if (i > 0) assert.equal(await r.recv(), 7);
          else assert.equal(r.recvSync(), 7);
          // It has not closed it: its end does.
          assert.equal((await failureOf(() => r.recv())).code, EOF);
          await ended(peer);
          r.close();
        }
      },
    );

    test('it is gone once all who have it have closed it, not before, though they live', LIMIT, async () => {
      const [r, w] = Pipe<number>({ duplex: false });
      using go = new EventFlag();
      const all = numbers();
      const peers = range(3).map(i =>
        carrier.start(
          async (end, flag, done, me) => {
            if (me > 0) end.close();
            Atomics.add(done.view, 0, 1);
            await flag.wait();
            if (me === 0) end.close();
            Atomics.add(done.view, 1, 1);
            await flag.wait();
          },
          w,
          go,
          all,
          i,
        ),
      );
      w.close();
      await untilIs(all, 0, 3);
      assert.equal(await r.poll(), false);
      go.set();
      assert.equal((await failureOf(() => r.recv())).code, EOF);
      await ended(...peers);
      r.close();
      all[Symbol.dispose]();
    });

    test('a connection goes through a connection, and is used over there', LIMIT, async () => {
      const [a, b] = Pipe<unknown>();
      const peer = carrier.start(async end => {
        const inner = (await end.recv()) as Connection<string>;
        await inner.send('from the inner one');
        inner.close();
        const pair = Pipe<string>();
        end.sendSync({ pair: [pair[0]] });
        pair[0].close();
        const got = pair[1].recvSync();
        pair[1].close();
        return got;
      }, b);
      b.close();
      const [r, w] = Pipe<string>({ duplex: false });
      await a.send(w);
      w.close();
      assert.equal(await r.recv(), 'from the inner one');
      assert.equal((await failureOf(() => r.recv())).code, EOF);
      const { pair } = (await a.recv()) as { pair: [Connection<string>] };
      await pair[0].send('to the one made there');
      assert.deepEqual(await ended(peer), ['to the one made there']);
      assert.ok(await isAtEnd(pair[0]));
      closeAll(a, r, pair[0]);
    });

    test(
      'connections cross in closures, through queues of all sorts, and inside other values',
      LIMIT,
      async () => {
        using queue = new Queue<Connection<string>>();
        using joinable = new JoinableQueue<{ inside: Connection<string>[] }>();
        using lifo = new LifoQueue<Connection<string>>();
        using priority = new PriorityQueue<Connection<string>>();
        const pipes = range(6).map(() => Pipe<string>({ duplex: false }));
        const [captured] = pipes.map(([, w]) => w);
        queue.putSync(pipes[1][1]);
        await queue.putMany([pipes[5][1]]);
        joinable.putSync({ inside: [pipes[2][1]] });
        lifo.putSync(pipes[3][1]);
        await priority.put(pipes[4][1], { priority: 3 });
        const peer = carrier.start(
          async (q, j, l, p) => {
            captured.sendSync('0');
            (await q.get()).sendSync('1');
            j.getSync().inside[0].sendSync('2');
            l.getSync().sendSync('3');
            p.getSync().sendSync('4');
            const [last] = await q.getMany(1);
            last.sendSync('5');
          },
          queue,
          joinable,
          lifo,
          priority,
        );
        for (const [, w] of pipes) w.close();
        for (const [i, [r]] of pipes.entries()) {
          assert.equal(await r.recv(), String(i));
          assert.equal((await failureOf(() => r.recv())).code, EOF);
          r.close();
        }
        await ended(peer);
      },
    );

    test('a result brings one along', LIMIT, async () => {
      const peer = carrier.start(() => {
        const [r, w] = Pipe<string>({ duplex: false });
        w.sendSync('before its end');
        w.close();
        return { r };
      });
      await peer.join();
      const { r } = (await peer.result()) as { r: Connection<string> };
      assert.equal(r.recvSync(), 'before its end');
      assert.ok(await isAtEnd(r));
      r.close();
    });

    test('a killed holder lets go, whoever waits at the other end and however', LIMIT, async () => {
      const [a, b] = Pipe<unknown>();
      const all = numbers();
      const holder = carrier.start(
        (end, done) => {
          Atomics.add(done.view, 0, 1);
          for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, end.closed ? 1 : 1000);
        },
        b,
        all,
      );
      b.close();
      const blocked = carrier.start(end => {
        try {
          return end.recvSync();
        } catch (error) {
          return (error as { code?: string }).code;
        }
      }, a);
      await untilIs(all, 0, 1);
      await untilReceiving(a, 1);
      const waits = outcomes([a.recv(), a.recvBytes(), a.poll({ timeout: 1e6 })]);
      assert.equal(receivers(a), 3);
      await killed(holder);
      assert.deepEqual(await waits, [EOF, EOF, true]);
      assert.deepEqual(await ended(blocked), [EOF]);
      for (const call of sending(a)) assert.equal((await failureOf(call)).code, CLOSED);
      a.close();
      all[Symbol.dispose]();
    });

    test(
      'a killed receiver: who waits for room has ClosedError, and so has the next to send',
      LIMIT,
      async () => {
        const [r, w] = Pipe<unknown>({ duplex: false });
        const all = numbers();
        const receiver = carrier.start(
          (end, done) => {
            end.recvSync();
            Atomics.add(done.view, 0, 1);
            for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
          },
          r,
          all,
        );
        r.close();
        w.sendSync('first');
        await untilIs(all, 0, 1);
        w.sendSync(new Uint8Array(17 * MIB));
        const waits = outcomes([w.send(1), w.sendBytes(new Uint8Array(1))]);
        const blocked = carrier.start(end => {
          try {
            end.sendSync('blocking');
            return 'sent';
          } catch (error) {
            return (error as { code?: string }).code;
          }
        }, w);
        await untilSending(w, 3);
        await killed(receiver);
        assert.deepEqual(await waits, [CLOSED, CLOSED]);
        assert.deepEqual(await ended(blocked), [CLOSED]);
        assert.equal((await failureOf(() => w.sendSync(1))).code, CLOSED);
        w.close();
        all[Symbol.dispose]();
      },
    );

    test('one who is killed sending leaves whole messages only, in order', LIMIT, async () => {
      for (const round of range(carrier === forked ? 8 : 3)) {
        const [r, w] = Pipe<unknown>({ duplex: false });
        const sender = carrier.start(end => {
          for (let i = 0; ; i++)
            end.sendSync(i % 3 === 0 ? i : [i, new Uint8Array((i * 613) % 9000).fill(i)]);
        }, w);
        w.close();
        let next = 0;
        const kill = 20 + round * 150;
        for await (const message of r) {
          const [i, bytes] = (typeof message === 'number' ? [message] : message) as [number, Uint8Array?];
          assert.equal(i, next++);
          if (bytes) {
            assert.equal(bytes.length, (i * 613) % 9000);
            assert.ok(bytes.every(byte => byte === i % 256));
          }
          if (i === kill) sender.kill();
        }
        assert.ok(next > kill);
        await killed(sender);
        r.close();
      }
    });

    test(
      'killed at any time of its life, it holds nothing open: not its arguments, not what it was sent',
      LIMIT,
      async () => {
        const peers: Peer<unknown>[] = [];
        for (const delay of range(6)) {
          const [r, w] = Pipe<string>({ duplex: false });
          const [a, b] = Pipe<Connection>();
          a.sendSync(w);
          const peer = carrier.start(
            (one, two) => {
              const three = one.recvSync();
              for (;;) {
                try {
                  two.sendSync('x');
                  three.sendSync('x');
                } catch {}
              }
            },
            b,
            w,
          );
          closeAll(b, w);
          for (let i = 0; i < delay * 3; i++) await turn();
          if (delay > 3) await r.recv();
          peer.kill();
          for await (const _ of r); // to its end
          assert.equal((await failureOf(() => a.recv())).code, EOF);
          closeAll(a, r);
          peers.push(peer);
        }
        await killed(...peers);
      },
    );
  });

describe('on its way', () => {
  for (const Type of [Queue, JoinableQueue, LifoQueue, PriorityQueue])
    test(
      `a ${Type.name} lets go of ends when it is disposed of, dropped, or shut down at once`,
      LIMIT,
      async () => {
        for (const how of ['dispose', 'shutdown', 'close the rest'] as const) {
          const queue = new Type<unknown>();
          const pipes = range(4).map(() => Pipe<string>({ duplex: false }));
          for (const [, w] of pipes.slice(0, 2)) queue.putSync([w, 'a string']);
          await queue.putMany(pipes.slice(2).map(([, w]) => w));
          for (const [, w] of pipes) w.close();
          for (const [r] of pipes) assert.equal(await r.poll(), false);
          const waits = outcomes(pipes.map(([r]) => r.recv()));
          if (how === 'dispose') queue[Symbol.dispose]();
          else if (how === 'shutdown') queue.shutdown({ immediate: true });
          else
            for (const _ of pipes)
              for (const end of [await queue.get()].flat() as Connection[]) end.close?.();
          assert.deepEqual(await waits, Array(4).fill(EOF));
          for (const [r] of pipes) r.close();
          queue[Symbol.dispose]();
        }
      },
    );

  test('a put that gives up lets go of it, and so does a send', LIMIT, async () => {
    const [r, w] = Pipe<string>({ duplex: false });
    using queue = new Queue<unknown>(1);
    queue.putSync(1);
    const [a, b] = Pipe<unknown>();
    a.sendSync(new Uint8Array(17 * MIB));
    assert.equal((await failureOf(() => queue.put(w, { timeout: 5 }))).code, 'ERR_QUEUE_FULL');
    assert.equal((await failureOf(() => queue.putMany([w, w], { timeout: 5 }))).code, 'ERR_QUEUE_FULL');
    assert.equal((await failureOf(() => a.send(w, { timeout: 5 }))).code, 'ERR_TIMEOUT');
    assert.equal((await failureOf(() => a.sendSync([w, new WeakMap()]))).code, 'ERR_SERIALIZATION');
    w.close();
    assert.ok(await isAtEnd(r));
    closeAll(r, a, b);
  });

  test('a message that cannot be decoded lets go of it', LIMIT, async () => {
    const [r, w] = Pipe<string>({ duplex: false });
    const [a, b] = Pipe<unknown>();
    a.sendSync([w, new Unreadable()]);
    w.close();
    assert.equal(await r.poll(), false);
    assert.equal((await failureOf(() => b.recv())).code, 'ERR_SERIALIZATION');
    for (let i = 0; i < 20 && !(await r.poll()); i++) await collect(); // what was decoded before that is garbage
    assert.ok(await isAtEnd(r));
    closeAll(r, a, b);
  });

  test('in the pipe itself, it keeps nothing alive', LIMIT, async () => {
    const [r, w] = Pipe<Connection>({ duplex: false });
    w.sendSync(w);
    w.close();
    const again = r.recvSync();
    again.sendSync(again);
    again.sendSync(r);
    closeAll(again, r); // leavesNoBlocks() sees
  });

  test('in a pipe that nobody will read any more, it is let go of', LIMIT, async () => {
    const [r, w] = Pipe<string>({ duplex: false });
    const [a, b] = Pipe<Connection>();
    a.sendSync(w);
    w.close();
    const reading = r.recv();
    b.close();
    assert.deepEqual(await outcomes([reading]), [EOF]);
    closeAll(a, r);
  });

  for (const carrier of carriers) {
    test(`to one that was killed when it had taken it and not decoded: ${carrier.name}`, LIMIT, async () => {
      const [r, w] = Pipe<string>({ duplex: false });
      using queue = new Queue<Connection>();
      const all = numbers();
      queue.putSync(w);
      w.close();
      const peer = carrier.start(
        (q, done) => {
          const parcel = borrow();
          exchangeOf(q).take(parcel, false);
          Atomics.store(done.view, 0, parcel.handle === 0 ? 2 : 1);
          for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
        },
        queue,
        all,
      );
      await untilIs(all, 0, 1);
      assert.equal(queue.qsize(), 0);
      assert.equal(await r.poll(), false);
      const reading = outcomes([r.recv()]);
      await killed(peer);
      assert.deepEqual(await reading, [EOF]);
      r.close();
      all[Symbol.dispose]();
    });

    test(
      `in a pipe whose reader was killed, while this thread still has the other end: ${carrier.name}`,
      LIMIT,
      async () => {
        const [r, w] = Pipe<string>({ duplex: false });
        const [a, b] = Pipe<Connection>();
        const all = numbers();
        const peer = carrier.start(
          (end, done) => {
            Atomics.store(done.view, 0, end.closed ? 2 : 1);
            for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
          },
          b,
          all,
        );
        b.close();
        await untilIs(all, 0, 1);
        a.sendSync(w);
        w.close();
        const reading = outcomes([r.recv()]);
        await killed(peer);
        assert.deepEqual(await reading, [EOF]);
        closeAll(a, r);
        all[Symbol.dispose]();
      },
    );

    test(`hundreds may hold an end, and be killed: ${carrier.name}`, LIMIT, async () => {
      const [r, w] = Pipe<number>({ duplex: false });
      using queue = new Queue<Connection>();
      for (const _ of range(300)) queue.putSync(w);
      w.close();
      const peer = carrier.start(async q => {
        const all: Connection<number>[] = [];
        for (let i = 0; i < 150; i++) all.push(await q.get());
        all[0].sendSync(new Set(all).size);
        for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
      }, queue);
      assert.equal(await r.recv(), 1);
      await killed(peer);
      assert.equal(await r.poll(), false, 'the others are on their way');
      for (const _ of range(150)) (await queue.get()).close();
      assert.ok(await isAtEnd(r));
      assert.equal(unread(r), 0);
      r.close();
    });
  }
});
