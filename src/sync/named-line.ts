import { OutOfMemoryError } from '../errors/errors.js';
import { lock, unlock } from '../memory/robust-lock.js';
import { type Entry, isLater, type Waiter, type WakeOptions } from '../wait/line.js';
import { HEADER, MAX_NODES, NODE, NODE_STATE, NODE_WORDS, NODES } from './named-layout.js';
import type { Members } from './named-members.js';

/*
 * Who waits at the words of a name: a table of nodes under one robust lock. A node is WAITING from one store to another, its
 * ticket says who came first, and HIGH is never too low; so whoever takes over the lock of a dead holder finds
 * nothing to repair.
 */
const NOTE_WORDS = 3;
const EVERYONE = 2 ** 31 - 1;
const { FREE, WAITING, WOKEN, OUT } = NODE_STATE;
const nothingToRepair = () => {};

/** One whose wait is over, or who is to look. */
interface Called {
  readonly node: number;
  readonly owner: number;
  readonly blocking: boolean;
}

export class NamedLine {
  readonly words: Int32Array;
  readonly #floats: Float64Array;
  readonly #members: Members;
  /** An async wait of this thread's is called. */
  readonly #callSelf: () => void;

  constructor(members: Members, callSelf: () => void) {
    this.words = members.words;
    this.#floats = new Float64Array(members.words.buffer);
    this.#members = members;
    this.#callSelf = callSelf;
  }

  enter(word: number, expected: number, { note, arrival, first = false }: Entry, blocking: boolean): number {
    const owner = this.#members.self();
    const { words } = this;
    this.#lock();
    try {
      const node = this.#freeNode();
      words[node + NODE.WORD] = word;
      words[node + NODE.OWNER] = owner;
      words[node + NODE.BLOCKING] = blocking ? 1 : 0;
      for (let i = 0; i < NOTE_WORDS; i++) words[node + NODE.NOTE + i] = note?.[i] ?? 0;
      if (arrival !== undefined) words[node + NODE.NOTE] = arrival;
      this.#floats[(node + NODE.TICKET) / 2] = first ? this.#earlyTicket(word, arrival) : this.#nextTicket();
      Atomics.store(words, node + NODE.STATE, WAITING);
      // SYNC POINT with wake(): HIGH is raised and the node in line, then the look at the word; there the word first, then HIGH.
      if (Atomics.load(words, word) === expected) return node;
      Atomics.store(words, node + NODE.STATE, FREE);
      return 0;
    } finally {
      this.#unlock();
    }
  }

  #freeNode(): number {
    const high = this.words[HEADER.HIGH];
    for (let node = NODES; node < NODES + high * NODE_WORDS; node += NODE_WORDS)
      if (Atomics.load(this.words, node + NODE.STATE) === FREE) return node;
    if (high === MAX_NODES)
      throw new OutOfMemoryError(
        `Cannot wait as ${MAX_NODES} wait at this name already: let some of them end`,
      );
    Atomics.store(this.words, HEADER.HIGH, high + 1);
    return NODES + high * NODE_WORDS;
  }

  #nextTicket(): number {
    const ticket = this.#floats[HEADER.TICKET / 2];
    this.#floats[HEADER.TICKET / 2] = ticket + 1;
    return ticket;
  }

  /** One that comes before all in line, or all of those that arrived later. */
  #earlyTicket(word: number, arrival: number | undefined): number {
    const line = this.#inLine(word);
    const after =
      arrival === undefined ? 0 : line.findIndex(node => isLater(this.words[node + NODE.NOTE], arrival));
    if (line[after] === undefined) return this.#nextTicket();
    const next = this.#floats[(line[after] + NODE.TICKET) / 2];
    return after === 0 ? next - 1 : (this.#floats[(line[after - 1] + NODE.TICKET) / 2] + next) / 2;
  }

  isWaiting(node: number): boolean {
    return Atomics.load(this.words, node + NODE.STATE) === WAITING;
  }

  withdraw(node: number): boolean {
    if (!this.isWaiting(node)) return false;
    this.#lock();
    const withdrawn = this.isWaiting(node);
    if (withdrawn) Atomics.store(this.words, node + NODE.STATE, FREE);
    this.#unlock();
    return withdrawn;
  }

  take(node: number): number {
    const token = this.words[node + NODE.TOKEN];
    if (Atomics.load(this.words, node + NODE.STATE) === WOKEN) {
      // Its waker is still at it, or has died over it; having had the lock, we know that it has finished.
      this.#lock();
      this.#unlock();
    }
    Atomics.store(this.words, node + NODE.STATE, FREE);
    return token;
  }

  orderOf(node: number): number {
    return this.words[node + NODE.ORDER];
  }

  wake(word: number, count: number, { token = 0, passOn = true, choose, settle }: WakeOptions = {}): number {
    // SYNC POINT with enter(): the caller has changed the word before this load.
    if (Atomics.load(this.words, HEADER.HIGH) === 0 && settle === undefined) return 0;
    const chosen: number[] = [];
    let called: Called[] = [];
    this.#lock();
    try {
      const line = this.#inLine(word);
      let looked = 0;
      for (; looked < line.length && chosen.length < count; looked++) {
        const isChosen = choose === undefined || choose(this.#waiterAt(line[looked]));
        if (isChosen) chosen.push(line[looked]);
        else if (isChosen === undefined) break;
      }
      for (const node of chosen) this.#wakeNode(node, token, passOn);
      settle?.(
        chosen.map(node => this.#waiterAt(node)),
        line.length > chosen.length,
      );
    } finally {
      called = this.#letOut(chosen);
      this.#unlock();
    }
    this.#call(called);
    return chosen.length;
  }

  /** From here on it is woken, whatever happens to us. */
  #wakeNode(node: number, token: number, passOn: boolean): void {
    const { words } = this;
    words[node + NODE.TOKEN] = token;
    words[node + NODE.PASS_ON] = passOn ? 1 : 0;
    words[node + NODE.ORDER] = this.#members.countWake(words[node + NODE.OWNER]);
    Atomics.store(words, node + NODE.STATE, WOKEN);
  }

  /** From here on their owners may use these nodes again. */
  #letOut(nodes: readonly number[]): Called[] {
    return nodes.map(node => {
      const called = this.#calledAt(node);
      Atomics.store(this.words, node + NODE.STATE, OUT);
      return called;
    });
  }

  #calledAt(node: number): Called {
    const { words } = this;
    return { node, owner: words[node + NODE.OWNER], blocking: words[node + NODE.BLOCKING] === 1 };
  }

  /** Has them look at their waits, wherever they sleep. One too many costs the look. */
  #call(called: readonly Called[]): void {
    const owners = new Set<number>();
    for (const { node, owner, blocking } of called) {
      if (blocking) this.#members.futexWake(node + NODE.STATE, EVERYONE);
      else owners.add(owner);
    }
    for (const owner of owners) {
      if (owner === this.#members.self()) queueMicrotask(this.#callSelf);
      else this.#members.ring(owner);
    }
  }

  /** Has all who wait look whether there still is something to wait for. */
  callAll(): void {
    this.#call(
      this.#used()
        .filter(node => this.isWaiting(node))
        .map(node => this.#calledAt(node)),
    );
  }

  waiting(word: number): Waiter[] {
    if (Atomics.load(this.words, HEADER.HIGH) === 0) return [];
    this.#lock();
    const waiters = this.#inLine(word).map(node => this.#waiterAt(node));
    this.#unlock();
    return waiters;
  }

  someWait(word: number, matches: (waiter: Waiter) => boolean): boolean {
    return Atomics.load(this.words, HEADER.HIGH) !== 0 && this.waiting(word).some(matches);
  }

  #waiterAt(node: number): Waiter {
    const note = node + NODE.NOTE;
    return {
      tag: this.words[node + NODE.OWNER],
      note: [this.words[note], this.words[note + 1], this.words[note + 2]],
    };
  }

  /** Takes all waits of a thread out of line, and passes on the wakes that it did not live to see. */
  clear(tag: number): void {
    const { words } = this;
    const heirs: number[] = [];
    this.#lock();
    for (const node of this.#used()) {
      if (words[node + NODE.OWNER] !== tag) continue;
      const state = Atomics.load(words, node + NODE.STATE);
      if ((state === WOKEN || state === OUT) && words[node + NODE.PASS_ON] === 1) {
        const heir = this.#inLine(words[node + NODE.WORD]).find(other => words[other + NODE.OWNER] !== tag);
        if (heir !== undefined) {
          this.#wakeNode(heir, words[node + NODE.TOKEN], true);
          heirs.push(heir);
        }
      }
      Atomics.store(words, node + NODE.STATE, FREE);
    }
    const called = this.#letOut(heirs);
    this.#unlock();
    this.#call(called);
  }

  /** The nodes that wait on `word`, first come first, without those of the dead. */
  #inLine(word: number): number[] {
    const { words } = this;
    const ticket = (node: number) => this.#floats[(node + NODE.TICKET) / 2];
    return this.#used()
      .filter(
        node =>
          words[node + NODE.WORD] === word &&
          this.isWaiting(node) &&
          this.#members.isLive(words[node + NODE.OWNER]),
      )
      .sort((a, b) => ticket(a) - ticket(b));
  }

  /** All nodes that are not free, and some that are. */
  #used(): number[] {
    const used: number[] = [];
    const end = NODES + Atomics.load(this.words, HEADER.HIGH) * NODE_WORDS;
    for (let node = NODES; node < end; node += NODE_WORDS)
      if (Atomics.load(this.words, node + NODE.STATE) !== FREE) used.push(node);
    return used;
  }

  #lock(): void {
    lock(HEADER.LOCK, nothingToRepair, this.#members);
  }

  #unlock(): void {
    const { words } = this;
    let high = words[HEADER.HIGH];
    while (high > 0 && Atomics.load(words, NODES + (high - 1) * NODE_WORDS + NODE.STATE) === FREE) high--;
    if (high < words[HEADER.HIGH]) Atomics.store(words, HEADER.HIGH, high);
    unlock(HEADER.LOCK, this.#members);
  }
}
