import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { ClosedError, LifecycleError, NameInUseError, TimeoutError } from '../../errors/errors.js';
import { leavesNothing } from '../../testing/leaks.js';
import { waitUntil } from '../../testing/processes.js';
import { LIMIT } from '../../testing/sharing.js';
import { openDoorbell } from '../../wait/doorbell.js';
import { connect } from './connect.js';
import { Listener } from './listener.js';
import { KEY, KINDS, newPath, stranger } from './testing/pairs.js';

leavesNothing({ warm: openDoorbell });

const LIBRARY = JSON.stringify(require.resolve('../../index.js'));

/** Runs a program of its own to its end. */
function run(code: string, ...args: string[]): Promise<{ stdout: string }> {
  return promisify(execFile)(process.execPath, ['-e', code, ...args], { timeout: 30_000 });
}

for (const { name, address } of KINDS)
  test(`connections by ${name}`, LIMIT, async () => {
    await using listener = new Listener({ address: address(), authkey: KEY });
    assert.equal(await listener.listen(), listener);
    assert.equal(listener.lastAccepted, undefined);
    const connecting = [1, 2, 3].map(() => connect({ address: listener.address, authkey: KEY }));
    const ends = await Promise.all(connecting);
    for (const [i, end] of ends.entries()) await end.send(i);
    const accepted = [await listener.accept(), await listener.accept(), await listener.accept()];
    const expected = typeof listener.address === 'string' ? /^$/ : /^127\.0\.0\.1:\d+$/;
    assert.match(String(listener.lastAccepted), expected);
    const numbers = await Promise.all(accepted.map(end => end.recv()));
    assert.deepEqual(numbers.sort(), [0, 1, 2]);
    await listener.close(); // those that were accepted go on
    await ends[0].send('still');
    assert.equal(await accepted[numbers.indexOf(0)].recv(), 'still');
    for (const end of [...ends, ...accepted]) end.close();
  });

test('TCP by name, over IPv6, at a port of the system’s choice', LIMIT, async () => {
  for (const host of ['localhost', '::1']) {
    await using listener = await new Listener({ address: { host, port: 0 }, authkey: KEY }).listen();
    const { address } = listener;
    assert.ok(typeof address === 'object' && address.host === host && address.port > 0);
    using _here = await connect({ address, authkey: KEY });
    using _there = await listener.accept();
    assert.match(String(listener.lastAccepted), /^(127\.0\.0\.1|\[::1\]):\d+$/);
    await assert.rejects(new Listener({ address, authkey: KEY }).listen(), NameInUseError);
  }
});

test('the file of a Unix socket is its owner’s alone, and goes with its listener', LIMIT, async () => {
  const address = newPath();
  const mask = process.umask(0);
  try {
    await using listener = await new Listener({ address, authkey: KEY }).listen();
    assert.equal(statSync(address).mode & 0o777, 0o600);
    await listener.close();
    await listener.close();
  } finally {
    process.umask(mask);
  }
  assert.equal(existsSync(address), false);
});

test('a file that has become another’s stays', LIMIT, async () => {
  const address = newPath();
  await using listener = await new Listener({ address, authkey: KEY }).listen();
  unlinkSync(address);
  writeFileSync(address, 'mine');
  await listener.close();
  assert.equal(existsSync(address), true);
  await assert.rejects(
    new Listener({ address, authkey: KEY }).listen(),
    (error: Error) => error instanceof NameInUseError && /a file that is no socket/.test(error.message),
  );
  unlinkSync(address);
});

test('an address that somebody listens at is taken', LIMIT, async () => {
  for (const { address } of KINDS) {
    await using listener = await new Listener({ address: address(), authkey: KEY }).listen();
    await assert.rejects(new Listener({ address: listener.address, authkey: KEY }).listen(), NameInUseError);
    using _here = await connect({ address: listener.address, authkey: KEY }); // it has not suffered
    (await listener.accept()).close();
  }
});

test('what a killed program leaves behind is replaced, once', LIMIT, async () => {
  const address = newPath();
  const program = `
    new (require(${LIBRARY}).Listener)({ address: process.argv[1] }).listen()
      .then(() => process.kill(process.pid, 'SIGKILL'));
  `;
  await assert.rejects(run(program, address), { signal: 'SIGKILL' });
  assert.equal(existsSync(address), true);
  await assert.rejects(connect({ address, authkey: KEY }), { code: 'ECONNREFUSED' });
  const listeners = [1, 2, 3].map(() => new Listener({ address, authkey: KEY }));
  const outcomes = await Promise.allSettled(listeners.map(listener => listener.listen()));
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected']);
  using _here = await connect({ address, authkey: KEY });
  for (const listener of listeners) await listener.close();
  assert.equal(existsSync(address), false);
});

test('a program that ends takes the file with it, and a listener does not keep it alive', LIMIT, async () => {
  const address = newPath();
  const program = `
    new (require(${LIBRARY}).Listener)({ address: process.argv[1] }).listen().then(() => console.log('listens'));
  `;
  assert.equal((await run(program, address)).stdout, 'listens\n');
  assert.equal(existsSync(address), false);
});

test('accept() keeps the program alive, gives up in time, and loses no connection by it', LIMIT, async () => {
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  await assert.rejects(listener.accept({ timeout: 0 }), TimeoutError);
  await assert.rejects(listener.accept({ timeout: 10 }), TimeoutError);
  const calledOff = new AbortController();
  const [first, second] = [listener.accept({ signal: calledOff.signal }), listener.accept()];
  calledOff.abort(new Error('enough'));
  await assert.rejects(first, /enough/);
  using _here = await connect({ address: listener.address, authkey: KEY });
  (await second).close();
});

test('accept() gives connections to those who wait in order of arrival', LIMIT, async () => {
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  const accepting = [0, 1, 2].map(() => listener.accept());
  for (const i of [0, 1, 2]) {
    using here = await connect({ address: listener.address, authkey: KEY });
    await here.send(i);
    using there = await accepting[i];
    assert.equal(await there.recv(), i);
  }
});

test(
  'silent strangers hold up nobody, are shown the door in time, and are no concern of accept()',
  LIMIT,
  async () => {
    await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
    const silent = await Promise.all(Array.from({ length: 20 }, () => stranger(listener.address)));
    using _here = await connect({ address: listener.address, authkey: KEY });
    (await listener.accept()).close();
    const accepting = assert.rejects(listener.accept({ timeout: 10_000 }), ClosedError);
    const since = performance.now();
    await Promise.all(silent.map(socket => new Promise(resolve => socket.resume().once('close', resolve))));
    assert.ok(performance.now() - since > 3000); // of the 5 s that they have
    await listener.close();
    await accepting;
  },
);

test('backlog: no more than so many are let in before accept() has taken them', LIMIT, async () => {
  await using listener = await new Listener({ address: newPath(), authkey: KEY, backlog: 2 }).listen();
  const { address } = listener;
  const first = await Promise.all([1, 2].map(() => connect({ address, authkey: KEY })));
  await assert.rejects(connect({ address, authkey: KEY, timeout: 50 }), TimeoutError);
  // More than the kernel lets wait: who connects tries again then.
  const late = Array.from({ length: 12 }, () => connect({ address, authkey: KEY }));
  for (const _ of [...first, ...late]) (await listener.accept()).close();
  for (const end of [...first, ...(await Promise.all(late))]) end.close();
});

test('close() ends what waits, and hangs up on those who were not accepted', LIMIT, async () => {
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  using here = await connect({ address: listener.address, authkey: KEY });
  const silent = await stranger(listener.address);
  silent.resume();
  const hungUp = new Promise(resolve => silent.once('close', resolve));
  await waitUntil(() => silent.bytesRead > 0, 'the stranger to be greeted');
  const receiving = assert.rejects(here.recv(), { code: 'ERR_EOF' });
  await listener.close();
  await Promise.all([receiving, hungUp]);
  await assert.rejects(listener.accept(), ClosedError);
  await assert.rejects(listener.listen(), ClosedError);
  await assert.rejects(connect({ address: listener.address, authkey: KEY }), { code: 'ENOENT' });
});

test('calls at the wrong time, and what is no address, key or backlog', LIMIT, async () => {
  const address = newPath();
  const idle = new Listener({ address, authkey: KEY });
  await assert.rejects(idle.accept(), LifecycleError);
  await idle.listen();
  await assert.rejects(idle.listen(), LifecycleError);
  await idle.close();
  for (const [options, expected] of [
    [undefined, TypeError],
    [{}, TypeError],
    [{ address: 5 }, TypeError],
    [{ address: { host: 'localhost' } }, TypeError],
    [{ address: '' }, RangeError],
    [{ address: '\0' }, RangeError],
    [{ address: 'a\0b' }, RangeError],
    [{ address: 'x'.repeat(108) }, RangeError],
    [{ address: { host: 'localhost', port: 65_536 } }, RangeError],
    [{ address, authkey: 'secret' }, TypeError],
    [{ address, authkey: new Uint8Array(0) }, RangeError],
    [{ address, allowMd5: 1 }, TypeError],
  ] as const) {
    assert.throws(() => new Listener(options as never), expected, JSON.stringify(options));
    await assert.rejects(connect(options as never), expected, JSON.stringify(options));
  }
  for (const backlog of [0, 1.5, 65_536])
    assert.throws(() => new Listener({ address, authkey: KEY, backlog }), RangeError);
  assert.throws(() => new Listener({ address, authkey: KEY, backlog: '1' as never }), TypeError);
  await assert.rejects(new Listener({ address: `${address}/none`, authkey: KEY }).listen(), {
    code: 'ENOENT',
  });
  await assert.rejects(connect({ address, authkey: KEY }), { code: 'ENOENT' });
});
