import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allocate, freeAllOf, givenTo, ownerOf, transfer, trim } from '../memory/allocator.js';
import { attach } from '../memory/commons.js';
import { checkConsistency } from '../memory/consistency.js';
import { messageAt, storeMessage } from '../memory/message.js';
import { forget, giveBack, indexOf, self } from '../memory/participants.js';
import { beAnother, dieAt } from '../testing/deaths.js';
import { leavesNothing } from '../testing/leaks.js';
import { Board, PHASE, RETURNED } from './board.js';

leavesNothing({ warm: attach });

/** What a worker gives in a block of its own; a small one, and one of whole pages. */
const MESSAGES = [new Uint8Array(5000).fill(7), new Uint8Array(20_000).fill(7)];

interface Gift {
  readonly give: (board: Board, message: Uint8Array) => void;
  /** Has the worker said that it counts? */
  readonly counts: (board: Board) => boolean;
  /** What is at the place that is named. */
  readonly read: (board: Board) => Uint8Array;
}

const result: Gift = {
  give(board, message) {
    board.setResultBlock(0, storeMessage(message, self()));
    board.finish(0, 0, RETURNED, 1);
  },
  counts: board => board.isDone(0),
  read: board => board.result(0, (bytes, at, length) => bytes.subarray(at, at + length)),
};
const ofSeizedTask: Gift = {
  ...result,
  give(board, message) {
    board.seize(0);
    result.give(board, message);
  },
};
const failure: Gift = {
  give: (board, message) => board.fail(0, message),
  counts: board => board.phase(0) === PHASE.FAILED,
  read: board => board.failure(0) ?? new Uint8Array(),
};

/** What may happen between a worker's death and the pool's learning of it. Returns blocks that are there since. */
const meanwhile: Record<string, (dead: number, pool: number, message: Uint8Array) => number[]> = {
  nothing: () => [],
  'the dead one is swept': dead => {
    freeAllOf(dead);
    return [];
  },
  'its place becomes the pool’s': (dead, pool, message) => {
    freeAllOf(dead);
    // With what was there before still in it.
    return several(() => allocate(message.length + 8, { owner: pool, zero: false }));
  },
  'its place becomes another gift’s': (dead, pool, message) => {
    freeAllOf(dead);
    const handles = several(() => storeMessage(message, self()));
    for (const handle of handles) transfer(handle, self(), givenTo(pool));
    return handles;
  },
};

const several = (make: () => number) => Array.from({ length: 5 }, make);

for (const [name, gift] of Object.entries({
  'a result': result,
  'the result of a task that was seized': ofSeizedTask,
  'the reason of its failure': failure,
})) {
  test(`a worker may die at any step of giving ${name}: it counts or is freed, and nothing else is`, () => {
    for (const [event, happen] of Object.entries(meanwhile)) {
      for (const message of MESSAGES) {
        let retaken = 0;
        for (let step = 1, died = true; died; step++) {
          const when = `${event} after death at step ${step}`;
          const pool = self();
          const board = Board.make(8, 2, pool);
          board.resetWorker(0);
          forget(); // from here on this thread is the worker
          const worker = self();
          board.introduce(0, indexOf(worker), worker);
          board.fill(0, 1, 0, 0);
          board.post(0);
          board.claim(0);
          died = dieAt(step, () => gift.give(board, message));
          beAnother(); // nobody in particular, who does the pool's part

          const others = happen(worker, pool, message);
          const place = gift.read(board).byteOffset;
          if (others.some(handle => messageAt(handle).byteOffset === place)) retaken++;
          if (gift.counts(board)) assert.deepEqual(gift.read(board), message, when);
          const owners = others.map(ownerOf);
          board.free();
          assert.deepEqual(others.map(ownerOf), owners, when);

          freeAllOf(worker);
          const { blocks, runs } = checkConsistency();
          assert.equal(blocks + runs, others.length, when);
          assert.equal(freeAllOf(pool), others.length);
          for (const tag of [worker, pool]) giveBack(indexOf(tag));
          trim();
        }
        assert.equal(retaken > 0, event.startsWith('its place'), `${event}: ${retaken} times`);
      }
    }
  });
}
