import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { inspect, promisify } from 'node:util';
import { ClosedError, EndOfFileError, SerializationError, TimeoutError } from '../../errors/errors.js';
import { Lock } from '../../sync/lock.js';
import { carriers } from '../../testing/carriers.js';
import { collect } from '../../testing/collect.js';
import { leavesNoBlocks } from '../../testing/commons.js';
import { leavesNothing } from '../../testing/leaks.js';
import { ended, killed, LIMIT, warmCarriers } from '../../testing/sharing.js';
import { Connection } from '../connection.js';
import { Pipe } from '../pipe.js';
import { Queue } from '../queue.js';
import { wait } from '../wait.js';
import { connect } from './connect.js';
import { writeFrameHead } from './frame-reader.js';
import { Listener } from './listener.js';
import { KEY, KINDS, newPath, proves, stranger, withPair } from './testing/pairs.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const LIBRARY = JSON.stringify(require.resolve('../../index.js'));

/** More than the kernel takes of a socket that nobody reads. */
const MUCH = 4_000_000;

for (const { name, address } of KINDS)
  test(`values and bytes, both ways, over ${name}`, LIMIT, () =>
    withPair(async (here, there) => {
      assert.ok(here instanceof Connection && there instanceof Connection);
      assert.deepEqual([here.readable, here.writable, here.closed], [true, true, false]);
      const values = [
        undefined,
        1,
        'ä',
        { a: [new Date(0), /x/g] },
        new Map([[1, { b: 2n }]]),
        new Error('e'),
      ];
      for (const value of values) {
        await here.send(value);
        assert.deepEqual(await there.recv(), value);
        there.sendSync(value);
        assert.deepEqual(here.recvSync(), value);
      }
      for (const length of [0, 1, 2000, 40_000, MUCH]) {
        const bytes = new Uint8Array(length).fill(length);
        const sending = here.sendBytes(bytes);
        bytes.fill(1);
        const received = await there.recvBytes();
        assert.ok(Buffer.from(received).equals(Buffer.alloc(length, length % 256)));
        await sending;
        await there.send(bytes);
        assert.ok(Buffer.from(bytes).equals(await here.recv()));
      }
      await here.send((x: number) => x + 1); // whoever has the key may have code run
      assert.equal((await there.recv())(1), 2);
    }, address()),
  );

test('bytes are no value, and stay for recvBytes(); a value can be passed on as bytes', LIMIT, () =>
  withPair(async (here, there) => {
    await here.sendBytes(Buffer.from([1, 2]));
    await here.send({ x: 1 });
    await here.sendBytes(Uint8Array.of(0x93, 0x6d, 0x68, 0xff, 1));
    for (let i = 0; i < 2; i++)
      await assert.rejects(
        there.recv(),
        /SerializationError: .* the next message is bytes: use recvBytes\(\)/,
      );
    assert.throws(() => there.recvSync(), SerializationError);
    assert.deepEqual(await there.recvBytes(), Uint8Array.of(1, 2));
    await there.sendBytes(await there.recvBytes());
    assert.deepEqual(await here.recv(), { x: 1 });
  }),
);

test('a message that is longer than "maxLength" stays', LIMIT, () =>
  withPair(async (here, there) => {
    const waiting = there.recvBytes({ maxLength: 2 });
    await here.sendBytes(Buffer.from('abc'));
    await assert.rejects(waiting, RangeError);
    await assert.rejects(there.recvBytes({ maxLength: 2 }), RangeError);
    await assert.rejects(there.recvBytes({ maxLength: -1 }), RangeError);
    await assert.rejects(there.recvBytes({ maxLength: 'x' as never }), TypeError);
    assert.equal(String(Buffer.from(await there.recvBytes({ maxLength: 3 }))), 'abc');
  }),
);

test('who waits gets messages in order of arrival; giving up loses none', LIMIT, () =>
  withPair(async (here, there) => {
    const calledOff = new AbortController();
    const first = there.recv();
    const second = there.recv({ signal: calledOff.signal });
    const third = there.recv({ timeout: 5 });
    const fourth = there.recv();
    calledOff.abort(new Error('enough'));
    await assert.rejects(second, /enough/);
    await assert.rejects(third, TimeoutError);
    await assert.rejects(there.recv({ timeout: 0 }), TimeoutError);
    assert.throws(() => there.recvSync({ timeout: 0 }), TimeoutError);
    assert.throws(() => there.recvSync({ timeout: 5 }), TimeoutError);
    for (let i = 1; i <= 4; i++) void here.send(i);
    assert.deepEqual(await Promise.all([first, fourth]), [1, 2]);
    assert.equal(there.recvSync(), 3);
    assert.equal(await there.poll({ timeout: 5000 }), true);
    assert.equal(await there.recv({ timeout: 0 }), 4);
    assert.equal(await there.poll(), false);
  }),
);

test('a slow reader makes send() wait, in order; who gives up has sent nothing', LIMIT, () =>
  withPair(async (here, there) => {
    const bytes = (first: number) => new Uint8Array(MUCH).fill(first);
    let sent = 0;
    for (let i = 0; i < 2; i++) {
      while (await isIn(here.sendBytes(bytes(sent), { timeout: 20 }))) sent++;
      await settle();
    }
    assert.match(inspect(there), /unread: 1,/);
    assert.ok(sent >= 4 && sent < 8, `${sent} have gone in`);
    const calledOff = new AbortController();
    const given = here.sendBytes(bytes(99), { signal: calledOff.signal });
    const last = here.send('last'); // there is room for it, and one before it
    await assert.rejects(here.send('never', { timeout: 0 }), TimeoutError);
    assert.throws(() => here.sendSync('never', { timeout: 5 }), TimeoutError);
    calledOff.abort(new Error('enough'));
    await assert.rejects(given, /enough/);
    await last;
    for (let i = 0; i < sent; i++) assert.equal((await there.recvBytes())[MUCH - 1], i);
    assert.equal(await there.recv(), 'last');
  }),
);

/** Goes on for as long as messages like these take that somebody receives. */
async function settle(): Promise<void> {
  await withPair(async (here, there) => {
    for (let i = 0; i < 4; i++) {
      const sending = here.sendBytes(new Uint8Array(MUCH));
      await there.recvBytes();
      await sending;
    }
  });
}

async function isIn(sending: Promise<void>): Promise<boolean> {
  return sending.then(
    () => true,
    error => {
      assert.ok(error instanceof TimeoutError);
      return false;
    },
  );
}

test('a message longer than all that may be kept goes in alone', LIMIT, () =>
  withPair(async (here, there) => {
    const bytes = new Uint8Array(20 * 2 ** 20).fill(5);
    await here.sendBytes(bytes);
    const next = here.send('next');
    assert.ok(Buffer.from(bytes).equals(await there.recvBytes()));
    await next;
    assert.equal(await there.recv(), 'next');
  }),
);

test('when the other end is gone: what came can be received, then the end; sending is refused', LIMIT, () =>
  withPair(async (here, there) => {
    const waiting = there.recv();
    await here.send(1);
    await here.send(2);
    here.close();
    here.close();
    assert.equal(await waiting, 1);
    const rest: unknown[] = [];
    for await (const message of there) rest.push(message);
    assert.deepEqual(rest, [2]);
    await assert.rejects(there.recv(), EndOfFileError);
    assert.throws(() => there.recvSync(), EndOfFileError);
    assert.equal(await there.poll(), true);
    await assert.rejects(there.send(1), (error: Error) => error.name === 'ClosedError');
    assert.throws(() => there.sendSync(1), ClosedError);
    assert.equal(there.closed, false);
  }),
);

test('who waits to send learns that the other end is gone', LIMIT, () =>
  withPair(async (here, there) => {
    const sending = Array.from({ length: 8 }, () => here.sendBytes(new Uint8Array(MUCH)));
    there.close();
    const outcomes = await Promise.allSettled(sending);
    const { reason } = outcomes.at(-1) as PromiseRejectedResult;
    assert.equal(reason.name, 'ClosedError');
  }),
);

test('close() ends what waits here, and what was sent before arrives', LIMIT, () =>
  withPair(async (here, there) => {
    const bytes = new Uint8Array(MUCH).fill(3);
    const waits = [here.recv(), here.poll({ timeout: 5000 })];
    await here.sendBytes(bytes);
    here.close();
    for (const one of waits) await assert.rejects(one, (error: Error) => error.name === 'ClosedError');
    assert.ok(Buffer.from(bytes).equals(await there.recvBytes()));
    await assert.rejects(there.recv(), EndOfFileError);
    assert.equal(here.closed, true);
    assert.equal(inspect(here), 'Connection <closed>');
    for (const act of [
      () => here.send(1),
      () => here.recv(),
      () => here.recvBytes(),
      () => here.poll(),
      () => here.sendBytes(bytes),
    ])
      await assert.rejects(act(), (error: Error) => error.name === 'ClosedError');
  }),
);

test('a peer that dies in the midst of a message leaves none of it', LIMIT, async () => {
  const program = `
    const { connect } = require(${LIBRARY});
    connect({ address: process.argv[1], authkey: Buffer.from(process.argv[2], 'hex') }).then(async here => {
      await here.send('whole');
      await here.sendBytes(new Uint8Array(${MUCH}));
      process.kill(process.pid, 'SIGKILL');
    });
  `;
  await using keyed = await new Listener({ address: newPath(), authkey: KEY }).listen();
  const child = execFile(process.execPath, [
    '-e',
    program,
    String(keyed.address),
    Buffer.from(KEY).toString('hex'),
  ]);
  using there = await keyed.accept();
  await once(child, 'exit'); // nothing is read of the long one meanwhile but what is received ahead
  assert.equal(await there.recv(), 'whole');
  await assert.rejects(there.recvBytes(), /EndOfFileError: .* in the midst of it/);
  await assert.rejects(there.recvBytes(), EndOfFileError);
});

test('a head that announces 3 GiB costs no memory before they come', LIMIT, async () => {
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  const peer = await stranger(listener.address);
  await proves(peer);
  using here = await listener.accept();
  const { rss } = process.memoryUsage();
  const head = Buffer.alloc(12);
  writeFrameHead(head, 3 * 2 ** 30);
  const receiving = here.recvBytes();
  peer.end(Buffer.concat([head, Buffer.alloc(100_000)]));
  await assert.rejects(receiving, /EndOfFileError: .* in the midst of it/);
  assert.ok(process.memoryUsage().rss - rss < 100 * 2 ** 20);
});

test('wait() waits for connections, ends of pipes and queues at once', LIMIT, () =>
  withPair(async (here, there) => {
    const [first, second] = Pipe();
    using queue = new Queue<number>();
    const objects = [queue, first, there] as const;
    assert.deepEqual(await wait(objects, { timeout: 5 }), []);
    const waiting = wait(objects);
    await here.send(1);
    assert.deepEqual(await waiting, [there]);
    await second.send(1);
    assert.deepEqual(await wait(objects), [first, there]);
    await there.recv();
    here.close();
    assert.deepEqual(await wait([queue, there]), [there]); // nothing will ever come
    there.close();
    await assert.rejects(wait([there]), ClosedError);
    first.close();
    second.close();
  }),
);

test('what other programs cannot reach is refused, and so is a connection as a message', LIMIT, () =>
  withPair(async (here, there) => {
    using lock = new Lock();
    await assert.rejects(here.send({ lock }), /SerializationError: Cannot send message\.lock /);
    await assert.rejects(here.send([here]), /Cannot send message\[0\] as this connection is over a socket/);
    const [first, second] = Pipe();
    await assert.rejects(first.send(here), SerializationError);
    first.close();
    second.close();
    await here.send('fine');
    assert.equal(await there.recv(), 'fine');
  }),
);

for (const carrier of carriers)
  test(
    `${carrier.name} of a program know each other without a key, and block on a connection`,
    LIMIT,
    async () => {
      await using listener = await new Listener({ address: newPath() }).listen();
      const peer = carrier.start(async address => {
        using there = await connect({ address });
        for (let n = there.recvSync(); n !== 'end'; n = there.recvSync()) there.sendSync(n * 2);
        return there.recvSync({ timeout: 60_000 }).length;
      }, listener.address);
      using here = await listener.accept();
      for (let i = 0; i < 100; i++) {
        here.sendSync(i);
        assert.equal(here.recvSync(), i * 2);
      }
      await here.send('end');
      here.sendSync('x'.repeat(MUCH));
      assert.deepEqual(await ended(peer), [MUCH]);
    },
  );

for (const carrier of carriers)
  test(`when ${carrier.name} are killed, the other end learns of it`, LIMIT, async () => {
    await using listener = await new Listener({ address: newPath() }).listen();
    const peer = carrier.start(async address => {
      const there = await connect({ address });
      await there.send('here');
      await there.recv();
    }, listener.address);
    using here = await listener.accept();
    assert.equal(await here.recv(), 'here');
    const receiving = assert.rejects(here.recv(), EndOfFileError);
    await killed(peer);
    await receiving;
  });

test('1,000 connections at once', LIMIT, async () => {
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  const { address } = listener;
  const [ends, accepted] = await Promise.all([
    Promise.all(Array.from({ length: 1000 }, () => connect({ address, authkey: KEY }))),
    Promise.all(Array.from({ length: 1000 }, () => listener.accept())),
  ]);
  await Promise.all(ends.map((end, i) => end.send(i)));
  const numbers = await Promise.all(accepted.map(end => end.recv()));
  assert.equal(new Set(numbers).size, 1000);
  for (const end of [...ends, ...accepted]) end.close();
});

test('a connection that nobody has any more is closed', LIMIT, async () => {
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  using here = await connect({ address: listener.address, authkey: KEY });
  const dropped = await acceptAndDrop(listener);
  const receiving = assert.rejects(here.recv(), EndOfFileError);
  while (dropped.deref()) await collect();
  await receiving;
});

async function acceptAndDrop(listener: Listener): Promise<WeakRef<Connection>> {
  return new WeakRef(await listener.accept());
}

test(
  'a connection keeps a program alive only while somebody waits, or until all has been sent',
  LIMIT,
  async () => {
    const program = `
    const { connect, Listener } = require(${LIBRARY});
    (async () => {
      const listener = await new Listener({ address: process.argv[1] }).listen();
      const here = globalThis.here = await connect(listener);
      const there = globalThis.there = await listener.accept();
      setTimeout(() => here.send('late'), 50);
      console.log(await there.recv());
    })();
  `;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', program, newPath()], {
      timeout: 30_000,
    });
    assert.equal(stdout, 'late\n');
  },
);

test(
  'the child of a fork() has no connection of its parent, whose peers see its end all the same',
  LIMIT,
  async () => {
    const program = `
    const { connect, fork, Listener } = require(${LIBRARY});
    (async () => {
      const listener = await new Listener({ address: process.argv[1] }).listen();
      const here = await connect(listener);
      const there = await listener.accept();
      await here.send('for the parent');
      const waiting = here.recv({ timeout: 20 }).catch(error => error.name);
      const pid = fork();
      if (pid === 0) {
        const refused = [here.send(1), there.recv(), listener.accept()];
        const names = await Promise.all(refused.map(one => one.then(String, error => error.name)));
        waiting.then(() => names.push('the wait of the parent'));
        setTimeout(async () => {
          const fresh = await connect({ address: process.argv[1] });
          await fresh.send([here.closed, there.closed, ...names]);
        }, 50);
        setTimeout(() => {}, 60_000); // lives on, and is killed
        return;
      }
      const child = await listener.accept();
      console.log(await there.recv(), await waiting, ...await child.recv());
      here.close();
      console.log(await there.recv().catch(error => error.name));
      process.kill(pid, 'SIGKILL');
      await child.recv().catch(error => console.log(error.name));
      await listener.close();
    })();
  `;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--single-threaded', '-e', program, newPath()],
      { timeout: 30_000 },
    );
    assert.deepEqual(stdout.split('\n'), [
      'for the parent TimeoutError true true ClosedError ClosedError ClosedError',
      'EndOfFileError',
      'EndOfFileError',
      '',
    ]);
  },
);
