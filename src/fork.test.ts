import assert from 'node:assert/strict';
import { connect } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { ForkUnsafeError } from './errors/errors.js';
import { warm } from './process/fixtures/methods.js';
import { startProgram } from './process/fixtures/start-program.js';
import { fork } from './process/fork.js';
import { Process } from './process/process.js';
import { leavesNothing } from './testing/leaks.js';

/* fork(), in programs of their own: what a program says is complete once all of its processes have ended. */
leavesNothing({ warm });

const limit = { timeout: 60_000 };
const program = path.join(__dirname, 'testing', 'fork-program.js');
/** 1,000 take some seconds. */
const COUNT = Number(process.env.MANYHANDS_FORKS ?? 50);

const start = (...args: string[]) => startProgram(['--single-threaded', program, ...args]);

/** All that it says. Fails if it says something on stderr, or ends otherwise. */
async function all(...args: string[]): Promise<any[]> {
  const { next, errors, ended } = start(...args);
  const said = [];
  for (let line = await next(); line !== null; line = await next()) said.push(line);
  assert.deepEqual([await errors, await ended], ['', [0, null]]);
  return said;
}

const byText = (said: unknown[]) => said.map(line => JSON.stringify(line)).sort();

test(
  'two forks make four processes, each of which goes on with its microtasks, timers and end',
  limit,
  async () => {
    const expected = ['parent parent', 'parent child', 'child parent', 'child child'].flatMap(who => [
      ['line', who],
      ['microtask', who],
      ['timer', who],
      ['exit', who, 0],
    ]);
    assert.deepEqual(byText(await all('twice')), byText(expected));
  },
);

test('callbacks, promises and async functions go on in both', limit, async () => {
  const said = byText(await all('inside'));
  assert.deepEqual(
    said,
    byText([...Array(2).fill(['promise', 'inside']), ...Array(8).fill(['async function', true])]),
  );
});

test('a fork in the callback of a file operation hears of the others that were done', limit, async () => {
  assert.deepEqual(
    byText(await all('told')),
    byText([
      ['child', 8],
      ['parent', 8],
    ]),
  );
});

test(
  `a server that forks for each of ${COUNT} connections serves them all, and leaves no zombie`,
  limit,
  async () => {
    const { next, errors, ended } = start('server', String(COUNT));
    const port = await next();
    const answers = new Set<string>();
    let asked = 0;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        while (asked < COUNT) answers.add(await ask(port, ++asked));
      }),
    );
    assert.equal(answers.size, COUNT);
    const [pids, statuses, zombies] = await next();
    assert.deepEqual([pids <= COUNT, statuses, zombies], [true, [0], 0]);
    assert.deepEqual([await errors, await ended], ['', [0, null]]);
  },
);

/** What the server answers to this number: checked, without the pid. */
async function ask(port: number, number: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(String(number));
  let answer = '';
  for await (const bytes of socket) answer += bytes;
  const [pid, echo] = answer.split(' ');
  assert.ok(Number(pid) > 0, answer);
  return echo;
}

test("memory and random numbers are each child's own; pid and ppid are right", limit, async () => {
  const [[parent, count, results]] = await all('copies');
  assert.equal(count, 1);
  assert.deepEqual(
    results.map(([n]: [number]) => n).sort((a: number, b: number) => a - b),
    Array.from({ length: 20 }, (_, i) => 1 + i),
  );
  for (const column of [1, 2, 3, 4])
    assert.equal(new Set(results.map((row: unknown[]) => row[column])).size, 20);
  for (const [, , , , pid, ppid] of results) assert.ok(pid !== parent && ppid === parent);
});

test(
  'a parent is told how its children ended; uncaught errors end them alone, with 1 and a stack',
  limit,
  async () => {
    const { next, errors, ended } = start('endings');
    const said: any[] = [];
    for (let line = await next(); line !== null; line = await next()) said.push(line);
    assert.deepEqual(said.pop(), [
      [true, 0, false],
      [true, 7, false],
      [true, 8, false],
      [true, 9, false],
      [true, false, 15],
      [true, 1, false],
      [true, 1, false],
    ]);
    assert.deepEqual(
      said.map(([, code]) => code),
      [null, 7, 8, 1, 1], // not of those that _exit() or a signal ended
    );
    const told = await errors;
    for (const what of ['thrown', 'rejected'])
      assert.match(told, new RegExp(`Error: ${what} in a child\n +at `));
    assert.deepEqual(await ended, [0, null]);
  },
);

test('wait() and waitpid() give each end once, and refuse what is no child of fork()', limit, async () => {
  const none = 'ERR_LIFECYCLE';
  const [[...told]] = await all('waiting');
  assert.deepEqual(told, [none, none, none, false, none, [0, 0], [0, 0], true, true, none, true, none, none]);
});

test("a signal for a child reaches its listeners and not its parent's", limit, async () => {
  const said = await all('signals');
  const [ended] = said.filter(([what]) => what === 'ended');
  assert.deepEqual(
    byText(said),
    byText([
      ['SIGTERM', ended[1]],
      ['ended', ended[1], 0],
    ]),
  );
});

test(
  'waits, file operations, child processes and daemons of its parent neither keep a child nor end with it',
  limit,
  async () => {
    assert.deepEqual(await all('affairs'), [[0, true, 'other', null, 'SIGTERM']]);
  },
);

test("a child has processes and pools of its own, and may not touch its parent's", limit, async () => {
  const refused = Array(4).fill('ERR_LIFECYCLE');
  assert.deepEqual(await all('family'), [
    [refused, 9, 8],
    [0, 2, 5],
  ]);
});

test('what a parent holds stays its own; what a killed child held comes to the parent', limit, async () => {
  assert.deepEqual(await all('locks'), [
    ['ERR_LOCK', null, true, null],
    [true, 9],
    [false, true],
  ]);
});

test('parent and child both have the ends of pipes, and queues, that there were', limit, async () => {
  assert.deepEqual(await all('ends'), [[1, 0, 2, 1, 3, 2]]);
});

for (const how of ['blocking', 'async'])
  test(
    `forks have what a killed parent shared, and notice its death and one another's: ${how}`,
    limit,
    async () => {
      const { next, errors, ended } = start('orphans', how);
      const said = [await next(), await next()];
      assert.deepEqual(said, [
        ['first', true],
        ['second', true],
      ]);
      assert.deepEqual([await errors, await ended], ['', [null, 'SIGKILL']]);
    },
  );

test(`${COUNT} children that nobody waits for leave no zombie`, limit, async () => {
  assert.deepEqual(await all('unattended', String(COUNT)), [0]);
});

test('fork() says why it is refused, and what to do', async () => {
  assert.throws(fork, (error: Error) => {
    assert.ok(error instanceof ForkUnsafeError);
    assert.match(error.message, /manyhands run FILE.*node --single-threaded/);
    return true;
  });
});

test('fork() is refused while worker threads live, and within one', limit, async () => {
  assert.deepEqual(await all('unsafe'), [['ERR_FORK_UNSAFE', 'ERR_FORK_UNSAFE', 0]]);
});

test(
  'a process by the fork server may fork: its result is its own, and a fork of it ends by itself',
  limit,
  async () => {
    const child = new Process({
      target: async () => {
        const { fork } = await import('./process/fork.js');
        const { waitpid } = await import('./process/os.js');
        const pid = fork();
        if (pid === 0) {
          process.exitCode = 9;
          return 'the result of the fork';
        }
        return await waitpid(pid);
      },
    }).start();
    const [pid, status] = await child.result();
    assert.deepEqual([Number(pid) > 0, status], [true, 9 << 8]);
    await child.join();
  },
);
