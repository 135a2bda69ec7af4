import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { leavesNothing } from '../testing/leaks.js';
import { CARRIERS, IS_THOROUGH } from './fixtures/carriers.js';
import { Program } from './testing/programs.js';

/*
 * Ctrl-C goes to a program and to all of its workers that are processes, as they are of its group. They end by it, unless they have
 * been told otherwise, and say nothing; threads never learn of it.
 */
leavesNothing();

const LIMIT = { timeout: 60_000 };
const PROGRAM = path.resolve(__dirname, '../../src/pool/fixtures/interrupted.cjs');

// Who dies by a signal cleans nothing up.
afterEach(() => {
  for (const name of readdirSync(tmpdir()))
    if (name.startsWith('interrupted-')) rmSync(path.join(tmpdir(), name), { recursive: true });
});

for (const { carrier, options } of CARRIERS) {
  const isThread = options.kind === 'thread';
  /** What is the same for others, or of no concern to threads, is left out unless all is asked for. */
  const isWhole = IS_THOROUGH || options.context?.method === 'forkserver';

  /** What a program reports that does `action`, and is interrupted meanwhile. */
  async function interrupted(action: string): Promise<any> {
    const program = new Program(PROGRAM, options, action);
    await program.up;
    program.signalGroup('SIGINT');
    assert.deepEqual(await program.ended, [0, null], await program.errors);
    await program.gone();
    assert.equal(await program.errors, '');
    return JSON.parse((await program.output).trim().split('\n').at(-1) ?? '');
  }

  describe(`Ctrl-C on a program with a pool of ${carrier}`, () => {
    for (const action of ['nothing', ...(isWhole ? ['nothing, ignoring'] : [])])
      test(`that does ${action}: it ends by that, with all workers, and nothing is said`, LIMIT, async () => {
        const program = new Program(PROGRAM, options, action);
        await program.up;
        program.signalGroup('SIGINT');
        assert.deepEqual(await program.ended, [null, 'SIGINT']);
        await program.gone();
        assert.deepEqual([await program.output, await program.errors], ['up \n', '']);
      });

    test(
      'that goes on: tasks that ran reject, once, their workers are replaced, the others run',
      LIMIT,
      async () => {
        const { outcomes, restarts } = await interrupted('go on');
        const ran = isThread ? ['whole 1', 'whole 2'] : Array(2).fill('WorkerDiedError SIGINT');
        assert.deepEqual(outcomes, [...ran, 'later 3', 'later 4', 'later 5', 'later 6']);
        assert.equal(restarts, isThread ? 0 : 2);
      },
    );

    for (const action of isThread || isWhole
      ? ['terminate', ...(isWhole ? ['terminate, ignoring'] : [])]
      : [])
      test(
        `that does ${action}: tasks that ran reject, and those that had not begun by then`,
        LIMIT,
        async () => {
          const { outcomes, time } = await interrupted(action);
          assert.equal(outcomes.length, 6);
          // A worker's successor may be there before the program hears of the signal.
          const late = isThread ? /^CancelledError$/ : /^(CancelledError|WorkerDiedError SIGINT|later \d)$/;
          outcomes.forEach((outcome: string, n: number) => {
            assert.match(outcome, n < 2 ? /^(CancelledError|WorkerDiedError SIGINT)$/ : late);
          });
          assert.ok(time < 5_000, `it took ${time} ms`);
        },
      );

    if (isThread && !IS_THOROUGH) return;
    test('whose workers are about to start: others take their place', LIMIT, async () => {
      const { outcomes } = await interrupted('starting');
      assert.deepEqual(outcomes, ['whole 1', 'whole 2', 'later 3', 'later 4', 'later 5', 'later 6']);
    });

    if (!isWhole) return;
    test('that goes on, with workers that ignore it: no task is lost', LIMIT, async () => {
      const { outcomes, restarts } = await interrupted('go on, ignoring');
      assert.deepEqual(outcomes, ['whole 1', 'whole 2', 'later 3', 'later 4', 'later 5', 'later 6']);
      assert.equal(restarts, 0);
    });
  });
}
