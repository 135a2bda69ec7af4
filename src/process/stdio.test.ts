import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { native } from '../native/native.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitGone, waitUntil } from '../testing/processes.js';
import { carriers, warm } from './fixtures/methods.js';
import { MUCH } from './fixtures/stdio-program.js';

/* What processes print: where it goes, that all of it gets there, and that nothing comes of it if it cannot. */
leavesNothing({ warm });
leavesNoBlocks();

const limit = { timeout: 60_000 };
const program = path.join(__dirname, 'fixtures', 'stdio-program.js');
const methods = [...carriers.keys()].join(',');
const folder = mkdtempSync(path.join(tmpdir(), 'stdio-'));
after(() => rmSync(folder, { recursive: true }));
const descriptors = () => readdirSync('/proc/self/fd').length;

/** Runs the program. `said`: its lines on descriptor 3; `ended`: once all who had its descriptors are gone. */
function start(
  command: string,
  args: readonly string[],
  out: 'pipe' | 'ignore' | number = 'pipe',
  err: 'pipe' | 'ignore' | number = out,
) {
  const root = spawn(command, args, { stdio: ['ignore', out, err, 'pipe'] });
  const lines = text(root.stdio[3] as Readable).then(all => all.split('\n').slice(0, -1));
  return {
    out: root.stdout as Readable,
    err: root.stderr as Readable,
    said: lines.then(all => all.map(line => JSON.parse(line))),
    ended: new Promise<unknown>(resolve => root.on('close', code => resolve(code))),
  };
}
const startProgram = (scenarios: string, ...outputs: ('pipe' | 'ignore' | number)[]) =>
  start(process.execPath, [program, scenarios, methods], ...outputs);
const shell = (script: string, scenarios: string) =>
  script.replace('PROGRAM', () => `"${process.execPath}" "${program}" ${scenarios} ${methods}`);

/** What children print that end in each way there is: all of it must have arrived. */
function checkMuch(arrived: string, said: readonly unknown[]) {
  assert.deepEqual(said, Array(carriers.size).fill([0, 0, 0, 1, 'SIGKILL']));
  for (const letter of 'nxhtkNXHTK')
    assert.equal(arrived.split(letter).length - 1, carriers.size * MUCH, letter);
}

describe('what processes print by inheritance, however they end,', () => {
  test('arrives at a socket', limit, async () => {
    const { out, err, said, ended } = startProgram('much'); // as Node makes its pipes
    const arrived = await Promise.all([text(out), text(err)]);
    checkMuch(arrived.join(''), await said);
    assert.equal(await ended, 0);
  });

  test('arrives at a slow reader of a pipe that is set not to block, in whole lines', limit, async () => {
    const [end, write] = native.pipe();
    const socket = new Socket({ fd: write, readable: false, writable: true }); // it is this that sets it so
    const { said, ended } = startProgram('chorus,much', write);
    const reader = new Socket({ fd: end, readable: true, writable: false });
    let arrived = '';
    reader.setEncoding('latin1').on('data', chunk => {
      arrived += chunk;
      reader.pause();
      setTimeout(() => reader.resume(), 1);
    });
    const closed = new Promise(resolve => reader.on('close', resolve));
    assert.equal(await ended, 0);
    socket.destroy();
    await closed;
    const lines = arrived.split('\n').slice(0, carriers.size * 400);
    for (const line of lines) assert.match(line, /^(a+|b+)$/);
    checkMuch(arrived.slice(lines.join('\n').length), (await said).slice(carriers.size));
  });

  test('arrives at a file, in order', limit, async () => {
    const file = path.join(folder, 'output');
    const fd = openSync(file, 'a');
    const { said, ended } = startProgram('turns,much', fd);
    closeSync(fd);
    assert.equal(await ended, 0);
    const arrived = readFileSync(file, 'latin1');
    const order = '0\n1\n2\n3\n'.repeat(carriers.size);
    assert.equal(arrived.slice(0, order.length), order);
    checkMuch(arrived, await said);
  });

  test('arrives at a terminal, as such', { ...limit, skip: !existsSync('/usr/bin/script') }, async () => {
    const command = shell('stty cols 80; exec PROGRAM', 'terminal,much');
    const { out, said, ended } = start('script', ['-qefc', command, '/dev/null'], 'pipe', 'ignore');
    const arrived = await text(out);
    assert.equal(await ended, 0);
    const told = await said;
    for (const one of told.splice(0, carriers.size)) assert.deepEqual(one, [true, 80, true]);
    checkMuch(arrived, told);
  });

  test('may lose its reader, which does not end them', limit, async () => {
    const { out, err, said, ended } = startProgram('lines');
    await Promise.all([out, err].map(output => new Promise(resolve => output.once('data', resolve))));
    for (const output of [out, err]) output.destroy();
    for (const codes of await said) assert.deepEqual(codes, [0, 0]);
    assert.equal(await ended, 0);
  });

  test('may have nowhere to go', limit, async () => {
    const { said, ended } = start('sh', ['-c', shell('exec PROGRAM >&- 2>/dev/full', 'lines')], 'ignore');
    for (const codes of await said) assert.deepEqual(codes, [0, 0]);
    assert.equal(await ended, 0);
  });
});

test('outputs that nobody reads keep no program from ending, nor do those of daemons', limit, async () => {
  const { said, ended } = startProgram('unread', 'ignore');
  const holders: number[] = await said;
  assert.equal(holders.length, carriers.size);
  assert.equal(await ended, 0);
  for (const holder of holders) {
    process.kill(holder, 'SIGKILL');
    await waitGone(holder);
  }
});

for (const [method, Process] of carriers) {
  describe(`what a process by ${method} prints with stdio: 'pipe'`, () => {
    test('can be read after its end, without the event loop too', limit, async () => {
      const target = () => {
        console.log('x'.repeat(60_000));
        console.error('error');
      };
      const child = new Process({ target, stdio: 'pipe' }).start();
      await child.join();
      assert.deepEqual(await Promise.all([text(child.stdout as Readable), text(child.stderr as Readable)]), [
        `${'x'.repeat(60_000)}\n`,
        'error\n',
      ]);
      const quick = new Process({ target, stdio: 'pipe' }).start();
      quick.joinSync();
      assert.equal(String(quick.stderr?.read()), 'error\n');
      assert.equal(quick.stdout?.read(60_001).length, 60_001);
    });

    test('can be had as strings, in pieces, and piped on', limit, async () => {
      const target = () => {
        for (let i = 0; i < 3; i++) console.log('löwe '.repeat(20_000));
      };
      const child = new Process({ target, stdio: 'pipe' }).start();
      child.stdout?.setEncoding('utf8');
      let all = '';
      for await (const piece of child.stdout as Readable) {
        assert.equal(typeof piece, 'string');
        all += piece;
      }
      assert.equal(all, `${'löwe '.repeat(20_000)}\n`.repeat(3));
      await child.join();
    });

    test('ends when nobody can print any more, not before', limit, async () => {
      const file = path.join(folder, method);
      const target = (file: string) => {
        const { spawn } = require('node:child_process') as typeof import('node:child_process');
        const last = `echo early; while [ ! -e "${file}" ]; do sleep 0.01; done; echo late`;
        spawn('sh', ['-c', last], { stdio: ['ignore', 'inherit', 'ignore'] }).unref();
      };
      const child = new Process({ target, args: [file], stdio: 'pipe' }).start();
      await child.join();
      let ended = false;
      child.stdout?.on('end', () => {
        ended = true;
      });
      let printed = '';
      for await (const piece of child.stdout as Readable) {
        printed += piece;
        if (printed !== 'early\n') continue;
        assert.equal(ended, false);
        writeFileSync(file, '');
      }
      assert.equal(printed, 'early\nlate\n');
    });

    test(
      'may go unread: it waits for a reader while it lives, and leaves nothing when it ends',
      limit,
      async () => {
        const target = (much: number) => {
          process.stdout.write('x'.repeat(much));
          process.stderr.write('y');
        };
        const start = (much: number) => new Process({ target, args: [much], stdio: 'pipe' }).start();
        const before = descriptors();
        for (let i = 0; i < (method === 'forkserver' ? 10 : 2); i++) await start(i * 7000).join();
        start(60_000).joinSync();
        await waitUntil(() => descriptors() === before, 'the pipes to be closed');
        const waits = start(1_000_000);
        await waitUntil(() => (waits.stdout?.readableLength ?? 0) >= 2 ** 16, 'what is kept');
        assert.equal(await waits.join({ timeout: 20 }), false);
        assert.equal((await text(waits.stdout as Readable)).length, 1_000_000);
        await waits.join();
        assert.equal(waits.exitCode, 0);
      },
    );

    test('does not hurt it when its stdout is destroyed; it can hear of that', limit, async () => {
      const deaf = new Process({
        target: () => {
          for (let i = 0; i < 100; i++) console.log('x'.repeat(10_000));
          return 'done';
        },
        stdio: 'pipe',
      }).start();
      deaf.stdout?.destroy();
      assert.equal(await deaf.result(), 'done');
      await deaf.join();
      assert.equal(deaf.exitCode, 0);
      const hearing = new Process({
        target: () =>
          new Promise(resolve => {
            process.stdout.on('error', error => resolve((error as NodeJS.ErrnoException).code));
            const printing = setInterval(() => console.log('x'), 1);
            process.stdout.once('error', () => clearInterval(printing));
          }),
        stdio: 'pipe',
      }).start();
      hearing.stdout?.destroy();
      assert.equal(await hearing.result(), 'EPIPE');
      await hearing.join();
      assert.equal(hearing.exitCode, 0);
    });
  });
}
