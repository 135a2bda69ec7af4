import assert from 'node:assert/strict';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import os, { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { wait } from '../channel/wait.js';
import { LifecycleError } from '../errors/errors.js';
import { leavesNothing } from '../testing/leaks.js';
import { alive, state, waitUntil } from '../testing/processes.js';
import { add, ShortOfTea } from './fixtures/functions.js';
import { carriers, warm } from './fixtures/methods.js';

leavesNothing({ warm });

const folder = mkdtempSync(path.join(tmpdir(), 'process-'));
after(() => rmSync(folder, { recursive: true }));
const functions = path.join(__dirname, 'fixtures', 'functions.js');

/** Never ends of itself. */
const forever = () => new Promise(() => setInterval(() => {}, 1000));
const limit = { timeout: 30_000 };

for (const [method, Process] of carriers) {
  describe(`a process by ${method}`, () => {
    const run = <A extends unknown[], R>(target: (...args: A) => R, ...args: A) =>
      new Process({ target, args }).start();
    /** With stdio: 'pipe'; all that it prints. */
    const output = async (target: () => unknown, options = {}) => {
      const child = new Process({ target, stdio: 'pipe', ...options }).start();
      const [out, err] = await Promise.all([
        text(child.stdout as Readable),
        text(child.stderr as Readable),
        child.join(),
      ]);
      return { child, out, err };
    };

    test('waits for the promise of an async target, and then for its event loop', limit, async () => {
      const { child, out } = await output(async () => {
        await new Promise(resolve => setTimeout(resolve, 1));
        setTimeout(() => console.log('late'), 20);
        return 'early';
      });
      assert.equal(await child.result(), 'early');
      assert.equal(out, 'late\n');
    });

    test(
      'runs closures with what they captured, functions of modules, and modules by name',
      limit,
      async () => {
        const captured = { n: 40 };
        const twice = (n: number) => n * 2;
        assert.equal(await run((n: number) => twice(captured.n) + n, 2).result(), 82);
        assert.equal(await run(add, 1, 2).result(), 3);
        for (const module of [pathToFileURL(functions), functions, path.relative(process.cwd(), functions)]) {
          const relative = typeof module === 'string' && !path.isAbsolute(module) && !module.startsWith('.');
          const target = { module: relative ? `./${module}` : module, export: 'add' };
          assert.equal(await new Process({ target, args: [3, 4] }).start().result(), 7);
        }
        const greet = new Process<[string], string>({ target: { module: functions }, args: ['you'] });
        assert.equal(await greet.start().result(), 'hello you');
      },
    );

    test(
      'exits 1 when its target throws; the error comes back as itself, with both stacks',
      limit,
      async () => {
        const target = { module: functions, export: 'runShort' };
        const child = new Process({ target, args: [3], stdio: 'pipe' }).start();
        const printed = text(child.stderr as Readable);
        const error = await child.result().then(
          () => assert.fail('it returned'),
          error => error,
        );
        assert.ok(error instanceof ShortOfTea);
        assert.equal(error.cups, 3);
        assert.equal(error.message, '3 cups short');
        const remote = error.stack?.indexOf('runShort') ?? -1;
        const local = error.stack?.indexOf('process.test') ?? -1;
        assert.ok(remote > 0 && local > remote, error.stack);
        await child.join();
        assert.equal(child.exitCode, 1);
        assert.match(await printed, /3 cups short[\s\S]*functions\.[jt]s:\d+:\d+/);
      },
    );

    test('shows the line of a closure that throws on stderr', limit, async () => {
      const here = Number(/test\.[jt]s:(\d+)/.exec(new Error().stack ?? '')?.[1]);
      const { child, err } = await output(() => {
        throw new RangeError('out of tea');
      });
      await assert.rejects(child.result(), { name: 'RangeError', message: 'out of tea' });
      const there = Number(/out of tea[\s\S]*process\.test\.[jt]s:(\d+)/.exec(err)?.[1]);
      assert.ok(there > here && there <= here + 3, err);
    });

    test('ends by the signals it is sent, and says which', limit, async () => {
      for (const [act, signal] of [
        ['terminate', 'SIGTERM'],
        ['kill', 'SIGKILL'],
        ['interrupt', 'SIGINT'],
      ] as const) {
        const child = run(forever);
        assert.equal(child.exitCode, undefined);
        child[act]();
        await assert.rejects(child.result(), { name: 'WorkerDiedError', signalCode: signal, exitCode: null });
        await child.join();
        assert.equal(child.signalCode, signal);
        assert.equal(child.exitCode, null);
        child[act](); // does nothing
      }
    });

    test('hears a signal that is sent as soon as it has started', limit, async () => {
      for (let i = 0; i < (method === 'forkserver' ? 40 : 3); i++) {
        const child = run(forever);
        child.interrupt();
        await child.join();
        assert.equal(child.signalCode, 'SIGINT');
      }
    });

    test('can handle signals', limit, async () => {
      const child = run(async () => {
        const signal = await new Promise(resolve => {
          process.on('SIGTERM', resolve);
          process.title = 'ready';
          setInterval(() => {}, 1000);
        });
        process.exitCode = 4;
        setTimeout(() => process.exit(), 1);
        return signal;
      });
      await waitUntil(() => commandOf(child.pid as number) === 'ready', 'the handler', 20_000);
      child.terminate();
      assert.equal(await child.result(), 'SIGTERM');
      await child.join();
      assert.equal(child.exitCode, 4);
    });

    test('stops and goes on', limit, async () => {
      const child = run(forever);
      assert.ok(['ready', 'running', 'sleeping'].includes(child.state));
      child.suspend();
      await waitUntil(() => child.state === 'stopped', 'it to stop');
      assert.equal(child.isAlive(), true);
      child.resume();
      await waitUntil(() => child.state !== 'stopped', 'it to go on');
      child.kill();
      await child.join();
      assert.equal(child.state, 'terminated');
      assert.equal(new Process().state, 'new');
    });

    test('joinSync() blocks until the end, or for the time given', limit, async () => {
      const child = run(forever);
      assert.equal(child.joinSync({ timeout: 0 }), false);
      assert.equal(child.joinSync({ timeout: 5 }), false);
      assert.equal(child.isAlive(), true);
      child.kill();
      assert.equal(child.joinSync(), true);
      assert.equal(child.signalCode, 'SIGKILL');
      assert.equal(child.isAlive(), false);
      assert.equal(state(child.pid as number), null);
      const quick = run(() => 5);
      assert.equal(quick.joinSync(), true);
      assert.equal(quick.exitCode, 0);
      assert.equal(await quick.result(), 5);
    });

    test('several that end at once are told by any of their waits, one within another', limit, async () => {
      const all = [run(forever), run(forever), run(forever)];
      for (const child of all) child.terminate();
      const deadline = performance.now() + 20_000;
      // The event loop learns of all of them at once.
      while (all.some(child => alive(child.pid as number)) && performance.now() < deadline);
      await Promise.race(all.map(child => child.join()));
      for (const child of all) {
        assert.equal(child.joinSync(), true);
        assert.equal(child.signalCode, 'SIGTERM');
      }
    });

    test('isAlive() is true from start() to the end, and no zombie is left', limit, async () => {
      const child = new Process({ target: forever });
      assert.equal(child.isAlive(), false);
      assert.equal(child.pid === undefined, true);
      child.start();
      assert.equal(child.isAlive(), true);
      assert.equal(alive(child.pid as number), true);
      child.kill();
      await waitUntil(() => !child.isAlive(), 'the end');
      await waitUntil(() => state(child.pid as number) === null, 'it to be reaped');
    });

    test("emits 'start' and 'exit', and 'error' where nobody awaits the result", limit, async () => {
      const child = new Process({
        target: () => {
          throw new Error('told');
        },
        stdio: 'ignore',
      });
      const events: unknown[] = [];
      child.on('start', () => events.push('start'));
      child.on('error', error => events.push(error.message));
      child.on('exit', (...how) => events.push(how));
      child.start();
      assert.deepEqual(events, []);
      await new Promise(resolve => child.on('exit', resolve));
      assert.deepEqual(events, ['start', 'told', [1, null]]);
      const killed = run(forever);
      const end = new Promise(resolve => killed.on('exit', (...how) => resolve(how)));
      killed.kill();
      assert.deepEqual(await end, [null, 'SIGKILL']);
    });

    test('is terminated and joined by disposal', limit, async () => {
      let pid = 0;
      {
        await using child = run(forever);
        pid = child.pid as number;
      }
      assert.equal(state(pid), null);
      const never = new Process({ target: forever });
      await never[Symbol.asyncDispose]();
    });

    test('has the environment, folder, priority and CPUs it was given', limit, async () => {
      const look = () => [
        process.cwd(),
        { ...process.env },
        os.getPriority(),
        require('node:child_process').execSync('pwd; echo $ONLY', { encoding: 'utf8' }),
      ];
      const env = { ONLY: 'this one', PATH: process.env.PATH ?? '' };
      const place = realpathSync(folder);
      const given = new Process({
        target: look,
        env: { ...env, PWD: undefined },
        cwd: place,
        priority: 5,
      }).start();
      assert.deepEqual(await given.result(), [place, env, 5, `${place}\nthis one\n`]);
      process.env.MANYHANDS_LATER = 'yes';
      const before = process.cwd();
      process.chdir(place);
      try {
        const [cwd, inherited] = (await run(look).result()) as [string, NodeJS.ProcessEnv];
        assert.equal(cwd, place);
        assert.deepEqual(inherited, { ...process.env });
      } finally {
        process.chdir(before);
        delete process.env.MANYHANDS_LATER;
      }
      const [cwd, inherited] = (await run(look).result()) as [string, NodeJS.ProcessEnv];
      assert.equal(cwd, before);
      assert.deepEqual(inherited, { ...process.env });
      const cpus = () =>
        /Cpus_allowed_list:\s*(\S+)/.exec(require('node:fs').readFileSync('/proc/self/status', 'utf8'))?.[1];
      const first = Number(/^\d+/.exec(cpus() ?? '')?.[0]);
      assert.equal(await new Process({ target: cpus, affinity: [first] }).start().result(), String(first));
    });

    test('prints nothing with stdio: ignore, and has an empty stdin', limit, async () => {
      const child = new Process({
        stdio: 'ignore',
        target: async () => {
          console.log('unseen');
          const chunks: unknown[] = [];
          for await (const chunk of process.stdin) chunks.push(chunk);
          return chunks.length;
        },
      }).start();
      assert.equal(child.stdout, null);
      assert.equal(await child.result(), 0);
      await child.join();
      assert.equal(child.exitCode, 0);
    });

    test('knows who it is: pid, parent, name, arguments', limit, async () => {
      const child = run(() => [
        process.pid,
        process.ppid,
        process.argv,
        Number(require('node:fs').readlinkSync('/proc/self')),
        process.title,
      ]);
      assert.deepEqual(await child.result(), [child.pid, process.pid, process.argv, child.pid, child.name]);
      assert.match(child.name, /^Process-\d+$/);
      assert.equal(new Process({ name: 'mine' }).name, 'mine');
      assert.equal(
        Number(new Process().name.slice('Process-'.length)),
        Number(new Process().name.slice('Process-'.length)) - 1,
      );
    });

    test('starts processes of its own, named after it', limit, async () => {
      const library = path.join(__dirname, 'process.js');
      const child = run(async (library: string) => {
        const { Process } = require(library) as typeof import('./process.js');
        const grandchild = new Process({
          target: async (library: string) => {
            const { Process } = require(library) as typeof import('./process.js');
            const last = new Process({ target: () => process.ppid }).start();
            return [process.pid, process.ppid, last.name, await last.result()];
          },
          args: [library],
        }).start();
        return [process.pid, grandchild.pid, grandchild.name, await grandchild.result()];
      }, library);
      type Told = [number, number, string, [number, number, string, number]];
      const [self, pid, name, told] = (await child.result()) as Told;
      assert.deepEqual([self, name], [child.pid, `${child.name}:1`]);
      assert.deepEqual(told, [pid, child.pid, `${child.name}:1:1`, pid]);
      await child.join();
      assert.equal(child.exitCode, 0);
    });

    test('a daemon may not start processes', limit, async () => {
      const library = path.join(__dirname, 'process.js');
      const child = new Process({
        daemon: true,
        args: [library],
        target: (library: string) => {
          const { Process } = require(library) as typeof import('./process.js');
          try {
            new Process({ target: () => {} }).start();
          } catch (error) {
            return (error as Error).name;
          }
        },
      }).start();
      assert.equal(await child.result(), 'LifecycleError');
    });

    test('start() throws where the process cannot be made, and a later one works', limit, async () => {
      for (const cwd of [path.join(folder, 'missing'), __filename]) {
        const broken = new Process({ target: () => {}, cwd, stdio: 'pipe' });
        assert.throws(() => broken.start(), LifecycleError, cwd);
        assert.equal(broken.pid, undefined);
      }
      assert.equal(await run(() => 1).result(), 1);
    });

    test('throws LifecycleError for what comes too early, too late or twice', limit, async () => {
      const child = new Process({ target: forever });
      await assert.rejects(child.join(), LifecycleError);
      await assert.rejects(child.result(), LifecycleError);
      for (const act of ['joinSync', 'terminate', 'usage'] as const)
        assert.throws(() => child[act](), LifecycleError);
      child.daemon = true;
      child.daemon = false;
      child.start();
      assert.throws(() => child.start(), LifecycleError);
      assert.throws(() => child.close(), LifecycleError);
      assert.throws(() => {
        child.daemon = true;
      }, LifecycleError);
      await waitUntil(() => child.usage().rss > 1e6, 'its memory to be seen');
      child.kill();
      await child.join();
      assert.throws(() => child.start(), LifecycleError);
      assert.throws(() => child.usage(), LifecycleError);
    });

    test('a closed one tells its name and whether it is a daemon, and nothing else', limit, async () => {
      const unstarted = new Process({ name: 'never' });
      unstarted.close();
      const ended = run(() => 1);
      await ended.join();
      ended.close();
      for (const one of [unstarted, ended]) {
        one.close();
        await one[Symbol.asyncDispose]();
        assert.equal(typeof one.name, 'string');
        assert.equal(one.daemon, false);
        const closed = { name: 'LifecycleError', message: /closed/ };
        for (const act of [
          'start',
          'joinSync',
          'isAlive',
          'terminate',
          'kill',
          'interrupt',
          'suspend',
          'resume',
          'usage',
          'ref',
          'unref',
        ] as const)
          assert.throws(() => one[act](), closed, act);
        for (const what of ['pid', 'ident', 'exitCode', 'signalCode', 'state', 'stdout', 'stderr'] as const)
          assert.throws(() => one[what], closed, what);
        assert.throws(() => one.setPriority(1), closed);
        assert.throws(() => {
          one.daemon = true;
        }, closed);
        assert.throws(() => {
          one.authkey = new Uint8Array(1);
        }, closed);
        for (const act of ['join', 'result'] as const) await assert.rejects(one[act](), closed, act);
        await assert.rejects(wait([one]), closed);
      }
    });
  });
}

test('a TypeError or RangeError refuses wrong options', () => {
  const [Process] = carriers.values();
  const wrong = (options: object) => () => new Process(options as never);
  for (const options of [
    { target: 5 },
    { target: null },
    { target: {} },
    { target: { module: 5 } },
    { target: { module: 'x', export: 5 } },
    { args: 'abc' },
    { env: 'x' },
    { env: null },
    { env: { A: 5 } },
    { env: { A: null } },
    { cwd: 5 },
    { cwd: '' },
  ])
    assert.throws(wrong(options), TypeError, JSON.stringify(options));
  for (const options of [
    { stdio: 'all' },
    { env: { '': 'x' } },
    { env: { 'A=B': 'x' } },
    { env: { A: 'x\0' } },
    { priority: 20 },
    { priority: 1.5 },
    { priority: -21 },
    { affinity: [] },
    { affinity: [-1] },
    { affinity: 3 },
  ])
    assert.throws(wrong(options), RangeError, JSON.stringify(options));
  assert.throws(() => new Process(null as never), TypeError);
});

/** The name that a process shows in lists. */
function commandOf(pid: number): string {
  return require('node:fs')
    .readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    .replace(/\0[\s\S]*/, '');
}
