import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { attach } from '../memory/commons.js';
import { storeMessage } from '../memory/message.js';
import { indexOf, self } from '../memory/participants.js';
import { countInUse } from '../testing/blocks.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { Board, RETURNED } from './board.js';

leavesNothing({ warm: attach });
afterEach(() => board.free());
leavesNoBlocks();

const LARGE = new Uint8Array(5000).fill(7);
const SMALL = new Uint8Array(10).fill(5);
let board: Board;

/** A board whose first worker, this thread as well, has taken the task in slot 0. */
function running(): Board {
  board = Board.make(8, 2, self());
  for (const worker of [0, 1]) board.resetWorker(worker);
  board.introduce(0, indexOf(self()), self());
  board.fill(0, 1, 0, 0);
  board.setArgsBlock(0, storeMessage(LARGE, self()));
  board.post(0);
  assert.equal(board.claim(0), 0);
  return board;
}

const resultOf = (slot: number) => board.result(slot, (bytes, at, length) => bytes.slice(at, at + length));

test('a slot is taken once, and by nobody once it is withdrawn', () => {
  running();
  assert.equal(board.claim(1), -1);
  assert.equal(board.takenBy(0), 0);
  assert.equal(board.withdraw(0), false);
  board.fill(3, 1, 0, 0);
  board.post(3);
  assert.equal(board.withdraw(3), true);
  assert.equal(board.claim(1), -1);
});

test('a slot that is used again is taken at its new place, not where it was withdrawn', () => {
  board = Board.make(8, 2, self());
  const post = (slot: number) => {
    board.fill(slot, 1, 0, 0);
    board.post(slot);
  };
  for (const slot of [0, 1, 2]) post(slot);
  for (const slot of [0, 1, 2]) assert.equal(board.withdraw(slot), true);
  for (const slot of [2, 0, 1]) post(slot);
  assert.deepEqual(
    [0, 1, 0, 1].map(worker => board.claim(worker)),
    [2, 0, 1, -1],
  );
});

test('what was withdrawn takes no room in the ring once it has come to its head', () => {
  board = Board.make(8, 2, self());
  const post = (slot: number) => {
    assert.ok(board.hasRoom);
    board.fill(slot, 1, 0, 0);
    board.post(slot);
  };
  for (let round = 0; round < 100; round++) {
    for (let slot = 0; slot < 8; slot++) post(slot);
    for (let slot = 0; slot < 8; slot++) board.withdraw(slot);
  }
  post(3);
  for (let i = 0; i < 15; i++) {
    post(4);
    board.withdraw(4);
  }
  assert.equal(board.hasRoom, false, 'what waits stays in its place');
  assert.deepEqual([board.claim(0), board.claim(1)], [3, -1]);
  assert.equal(board.hasRoom, true);
});

test('a task that was seized is finished by nobody, and nothing of its result is left', () => {
  running();
  board.setResultBlock(0, storeMessage(LARGE, self()));
  assert.equal(board.seize(0), true);
  assert.equal(board.takenBy(0), 0, 'it is known whom to end');
  assert.equal(board.finish(0, 0, RETURNED, 1), false);
  assert.equal(board.isDone(0), false);
  assert.equal(board.finishedBy(0), 0);
});

test('a task that is finished cannot be seized', () => {
  running();
  board.setResultBlock(0, storeMessage(LARGE, self()));
  assert.equal(board.finish(0, 0, RETURNED, 1), true);
  assert.equal(board.seize(0), false);
  assert.deepEqual([board.finishedBy(0), board.finishedAt(0, 0)], [1, 0]);
  assert.deepEqual(resultOf(0), LARGE);
});

test('a task that is run again does not give what its first worker had begun to', () => {
  running();
  board.setResultBlock(0, storeMessage(LARGE, self()));
  board.abandon(0);
  board.post(0);
  assert.equal(board.claim(1), 0);
  board.setResultBlock(0, storeMessage(SMALL, self()));
  assert.equal(board.finish(1, 0, RETURNED, 1), true);
  assert.deepEqual(resultOf(0), SMALL);
});

test('a board that ends frees what its slots hold, finished or not', () => {
  running();
  board.setResultBlock(0, storeMessage(LARGE, self()));
  board.fill(1, 1, 0, 0);
  board.setArgsBlock(1, storeMessage(LARGE, self()));
  board.post(1);
  board.claim(1);
  board.setResultBlock(1, storeMessage(LARGE, self()));
  board.finish(1, 1, RETURNED, 1);
});

test('arguments that have been read are freed, once, and those of the next use are not', () => {
  running();
  assert.equal(board.unload(0), false);
  const before = countInUse();
  board.setRead(0);
  assert.equal(board.unload(0), true);
  assert.equal(countInUse(), before - 1);
  board.finish(0, 0, RETURNED, 1);
  board.clear(0);
  board.fill(0, 1, 0, 0);
  board.setArgsBlock(0, storeMessage(LARGE, self()));
  board.post(0);
  assert.equal(board.claim(0), 0);
  assert.equal(board.unload(0), false);
});
