import { randomFillSync } from 'node:crypto';
import { handedOn, Parcel } from '../channel/parcel.js';
import type { Space } from '../channel/space.js';
import { encode } from '../codec/encode.js';
import { haveAllLook } from '../wait/deaths.js';
import { CORE, Core, TRIES } from './core.js';
import {
  blockOf,
  type Copy,
  holdsOpen,
  isOf,
  keyOf,
  makeEntry,
  type Packed,
  stampOf,
  versionOf,
} from './entry.js';
import { type AnyKey, Key } from './key.js';
import type { MapCommit } from './map-commit.js';
import { RECORD, Table } from './map-table.js';

/*
 * What a shared map is in shared memory: a table (map-table.ts) of entries (entry.ts), under the rules of core.ts.
 *
 * One change is one store of a record's ENTRY. Several at once, as of a transaction, are written down before, in the journal, a block of the
 * map's: which record gets which entry. The store of its COMMITTED is what makes them happen: who dies before it leaves the map as it
 * was, who dies after it leaves the rest to the next holder of the lock. SEQUENCE is odd meanwhile, so nobody sees some of them.
 *
 * The journal also names the blocks that values have, of entries that come or go: after a death, those are freed that
 * nothing else names.
 */
const WORD = {
  /** Changes with each new table, before the old one is freed. */
  GENERATION: CORE.OWN,
  JOURNAL: CORE.OWN + 1,
  SEED_LOW: CORE.OWN + 2,
  SEED_HIGH: CORE.OWN + 3,
} as const;
/** For map-watch.ts. */
export const WATCH_AT: number = CORE.OWN + 6;

const JOURNAL = { COMMITTED: 0, COUNT: 1, CAPACITY: 2, STEPS: 4 } as const;
/** One change: the record; the entry that it gets; the blocks of that, and of the one that goes. */
const STEP = { RECORD: 0, ENTRY: 1, COMES: 2, GOES: 3, WORDS: 4 } as const;
/** A journal for more changes than this is not kept. */
const KEPT_STEPS = 1024;

/** What a look without the lock came to. */
const TORN = -1;
const ABSENT = 0;
const FOUND = 1;

/** One of several changes at once. */
export interface Change {
  readonly key: AnyKey;
  /** What the value is from now on; undefined: the key is deleted. Its block is the map's afterwards. */
  readonly parcel: Packed | undefined;
  readonly version: number;
  /** Does the key come last, though it was there before? */
  readonly isMoved: boolean;
}

/** Where one is who goes through a map. */
export class Cursor {
  key: AnyKey = '';
  /** The table that was gone through, how many of its records were seen, and when the last of them was born. */
  generation = -1;
  seen = 0;
  birth = 0;
  /** The same as it will be, if what was found was not torn. */
  #generation = -1;
  #seen = 0;
  #birth = 0;

  found(generation: number, seen: number, birth: number): void {
    this.#generation = generation;
    this.#seen = seen;
    this.#birth = birth;
  }

  goOn(): void {
    this.generation = this.#generation;
    this.seen = this.#seen;
    this.birth = this.#birth;
  }
}

/** What is told of each change, for a map whose changes are kept elsewhere too (persistence.ts). */
export interface Log {
  entered(): void;
  /** Before the change is made, when nothing can hinder it any more. @throws It must not be made. */
  append(tell: (commit: MapCommit) => void): void;
  made(): void;
}

export class MapStore extends Core {
  log: Log | undefined;
  readonly #key = new Key();
  #table: Table | undefined;
  #generation = -1;
  /** What locate() found: the slot, which is empty or leads to a deleted key's record if there is no record. */
  #slot = 0;

  /** The first words of a new map. */
  static prepare(words: Int32Array, at: number): void {
    const seed = randomFillSync(new Int32Array(2));
    words.set(seed, at + WORD.SEED_LOW);
  }

  /** A key that is being looked for. */
  seek(key: AnyKey, into: Key = this.#key): Key {
    return into.set(key, this.words[this.at + WORD.SEED_LOW], this.words[this.at + WORD.SEED_HIGH]);
  }

  /** Another 32 bits of hash. */
  secondHash(key: AnyKey): number {
    const { words, at } = this;
    return new Key().set(key, words[at + WORD.SEED_HIGH], words[at + WORD.SEED_LOW]).hash;
  }

  /** The table as it is now; undefined: none yet. */
  #current(): Table | undefined {
    const generation = Atomics.load(this.words, this.at + WORD.GENERATION);
    if (generation === this.#generation) return this.#table;
    const handle = Atomics.load(this.words, this.at + CORE.ROOT) >>> 0;
    this.#table = handle === 0 ? undefined : Table.at(this.space, handle);
    this.#generation = generation;
    return this.#table;
  }

  /** Copies a key's value. False: it has none. Needs no lock. */
  read(key: AnyKey, copy: Copy): boolean {
    return this.#readOnce(key, copy) ?? this.#look(() => this.#tryRead(this.seek(key), copy));
  }

  /** Has the key a value? */
  has(key: AnyKey): boolean {
    return this.#readOnce(key, undefined) ?? this.#look(() => this.#tryRead(this.seek(key), undefined));
  }

  /** As most reads go: undefined if it is torn, or fails. */
  #readOnce(key: AnyKey, copy: Copy | undefined): boolean | undefined {
    const w = this.words;
    const sequence = this.at + CORE.SEQUENCE;
    const before = Atomics.load(w, sequence);
    if ((before & 1) !== 0) return undefined;
    try {
      const outcome = this.#tryRead(this.seek(key), copy);
      const isWhole = outcome !== TORN && Atomics.load(w, sequence) === before && this.cell.isThere;
      return isWhole ? outcome === FOUND : undefined;
    } catch {
      return undefined; // what was being read may have been freed: #look() tells
    }
  }

  /** Does what can be torn by a writer, until it is not. */
  #look(attempt: () => number): boolean {
    const w = this.words;
    const sequence = this.at + CORE.SEQUENCE;
    for (let i = 0; i < TRIES; i++) {
      const before = Atomics.load(w, sequence);
      if ((before & 1) !== 0) continue;
      let outcome = TORN;
      try {
        outcome = attempt();
      } catch (error) {
        // What was being read may have been freed: then it was anything.
        if (Atomics.load(w, sequence) === before && this.cell.isThere) throw error;
      }
      if (outcome !== TORN && Atomics.load(w, sequence) === before && this.cell.isThere)
        return outcome === FOUND;
    }
    this.enter();
    try {
      return attempt() === FOUND;
    } finally {
      this.leave();
    }
  }

  #tryRead(key: Key, copy: Copy | undefined): number {
    const table = this.#current();
    if (table === undefined) return ABSENT;
    const { words, mask } = table;
    const { hash } = key;
    let slot = table.slotFor(hash);
    for (let left = mask; left >= 0; left--) {
      const seen = Atomics.load(words, slot);
      if (seen === 0) return ABSENT;
      const record = table.recordIn(seen, hash);
      if (record !== 0) {
        const outcome = this.#tryEntry(table, record, key, copy);
        if (outcome !== ABSENT) return outcome;
      }
      slot = table.next(slot);
    }
    return ABSENT;
  }

  /** ABSENT: the record is not this key's, or has no entry any more. */
  #tryEntry(table: Table, record: number, key: Key, copy: Copy | undefined): number {
    const { heap } = this;
    const entry = table.entryOf(record);
    if (entry === 0) return ABSENT;
    const stamp = stampOf(heap, entry);
    if (table.entryOf(record) !== entry) return TORN;
    const isKey = isOf(heap, entry, key);
    if (isKey && copy !== undefined && !this.#tryCopy(copy, table, record, entry, stamp)) return TORN;
    if (!this.#isStill(table, record, entry, stamp)) return TORN;
    return isKey ? FOUND : ABSENT;
  }

  /**
   * Was the entry with that stamp the record's all the while? The record is looked at first. In the other order the entry could be freed,
   * found with its old stamp, be made anew with another, and be found in the record again.
   */
  #isStill(table: Table, record: number, entry: number, stamp: number): boolean {
    return table.entryOf(record) === entry && stampOf(this.heap, entry) === stamp;
  }

  #tryCopy(copy: Copy, table: Table, record: number, entry: number, stamp: number): boolean {
    if (!copy.copyFrom(this.heap, entry)) return false;
    if (!copy.isPartial) return true;
    if (!this.#isStill(table, record, entry, stamp)) return false;
    copy.fetch(this.space);
    return true;
  }

  /** The version of a key's entry, 0 if it has none; undefined: it cannot be told without the lock. Never waits or throws. */
  versionNow(name: AnyKey): number | undefined {
    try {
      const sequence = Atomics.load(this.words, this.at + CORE.SEQUENCE);
      const table = this.#current();
      const version = table === undefined ? 0 : this.#tryVersion(table, this.seek(name));
      const isSame = (sequence & 1) === 0 && Atomics.load(this.words, this.at + CORE.SEQUENCE) === sequence;
      return isSame && this.cell.isThere ? version : undefined;
    } catch {
      return undefined;
    }
  }

  #tryVersion(table: Table, key: Key): number | undefined {
    let slot = table.slotFor(key.hash);
    for (let left = table.mask; left >= 0; left--) {
      const seen = Atomics.load(table.words, slot);
      if (seen === 0) return 0;
      const record = table.recordIn(seen, key.hash);
      const outcome = record === 0 ? ABSENT : this.#tryEntry(table, record, key, undefined);
      if (outcome === TORN) return undefined;
      if (outcome === FOUND) {
        const entry = table.entryOf(record);
        if (entry === 0) return undefined;
        const version = versionOf(this.heap, entry);
        return this.#isStill(table, record, entry, version | 0) ? version : undefined;
      }
      slot = table.next(slot);
    }
    return 0;
  }

  /** The same, with the lock if need be. */
  version(name: AnyKey): number {
    const version = this.versionNow(name);
    if (version !== undefined) return version;
    this.enter();
    try {
      return this.versionNow(name) ?? 0;
    } finally {
      this.leave();
    }
  }

  /** Goes on to the next key, and copies its value. False: there is none. Needs no lock. */
  next(cursor: Cursor, copy: Copy | undefined): boolean {
    if (!this.#look(() => this.#tryNext(cursor, copy))) return false;
    cursor.goOn();
    return true;
  }

  #tryNext(cursor: Cursor, copy: Copy | undefined): number {
    const table = this.#current();
    if (table === undefined) return ABSENT;
    const isSame = cursor.generation === this.#generation;
    const used = Math.min(table.used, table.capacity);
    for (let n = isSame ? cursor.seen : table.countUpTo(cursor.birth); n < used; n++) {
      const record = table.record(n);
      const outcome = this.#tryAny(table, record, cursor, copy);
      if (outcome === TORN) return TORN;
      if (outcome === ABSENT) continue;
      cursor.found(this.#generation, n + 1, table.birthOf(record));
      return FOUND;
    }
    return ABSENT;
  }

  #tryAny(table: Table, record: number, cursor: Cursor, copy: Copy | undefined): number {
    const { heap } = this;
    const entry = table.entryOf(record);
    if (entry === 0) return ABSENT;
    const stamp = stampOf(heap, entry);
    if (table.entryOf(record) !== entry) return TORN;
    cursor.key = keyOf(heap, entry);
    if (copy !== undefined && !this.#tryCopy(copy, table, record, entry, stamp)) return TORN;
    return this.#isStill(table, record, entry, stamp) ? FOUND : TORN;
  }

  /** The record of a key; 0: it has none. Under the lock. */
  #locate(table: Table, key: Key): number {
    const { words } = table;
    const { hash } = key;
    let free = 0;
    let slot = table.slotFor(hash);
    for (;;) {
      const seen = words[slot];
      if (seen === 0) break;
      const record = table.recordIn(seen, hash);
      if (record !== 0) {
        const entry = words[record + RECORD.ENTRY];
        if (entry === 0) free = slot;
        else if (isOf(this.heap, entry, key)) {
          this.#slot = slot;
          return record;
        }
      }
      slot = table.next(slot);
    }
    this.#slot = free || slot;
    return 0;
  }

  /** Sets a key's value. Under the lock. @throws {OutOfMemoryError} The map is as it was. */
  put(name: AnyKey, parcel: Parcel): void {
    parcel.settle(this.space);
    this.begin();
    try {
      this.#put(name, parcel);
    } catch (error) {
      this.end();
      throw error;
    }
    this.end();
  }

  #put(name: AnyKey, parcel: Parcel): void {
    const key = this.seek(name);
    const { heap } = this;
    let table = this.#current() ?? this.#renew(undefined, 0);
    let record = this.#locate(table, key);
    const version = this.newVersion();
    const isNew = record === 0;
    if (isNew && table.used === table.capacity) {
      table = this.#renew(table, this.words[this.at + CORE.COUNT]);
      this.#locate(table, key);
    }
    const entry = makeEntry(heap, parcel, key, version);
    this.#append([entry], commit => commit.set(encode(name), contentOf(parcel, this.space)));
    if (isNew) record = table.add(key.hash, version, this.#slot);
    const { handle } = parcel;
    if (handle !== 0) heap.admit(handle);
    const old = this.#replace(table, record, entry);
    if (handle !== 0) {
      heap.admitted();
      handedOn(parcel);
    }
    if (isNew) this.words[this.at + CORE.COUNT]++;
    this.log?.made();
    if (old) haveAllLook();
  }

  /** Has the log take a change. If it does not, these entries are freed. */
  #append(entries: readonly number[], tell: (commit: MapCommit) => void): void {
    if (this.log === undefined) return;
    try {
      this.log.append(tell);
    } catch (error) {
      for (const entry of entries) if (entry !== 0) this.heap.free(entry, this.bytesOf(entry));
      throw error;
    }
  }

  protected override entered(): void {
    this.log?.entered();
  }

  /** Puts an entry in the place of another, which is freed. True: that held something open. */
  #replace(table: Table, record: number, entry: number): boolean {
    const { heap } = this;
    const { words } = table;
    const old = words[record + RECORD.ENTRY];
    if (old === 0) {
      Atomics.store(words, record + RECORD.ENTRY, entry);
      return false;
    }
    const block = blockOf(heap, old);
    const isCarrier = holdsOpen(heap, old);
    if (block !== 0) heap.condemn(block);
    Atomics.store(words, record + RECORD.ENTRY, entry);
    heap.free(old, this.bytesOf(old));
    if (block !== 0) heap.execute();
    heap.settled();
    heap.tidy();
    return isCarrier;
  }

  /** Deletes a key. False: it was not there. Under the lock. */
  remove(name: AnyKey): boolean {
    const table = this.#current();
    if (table === undefined) return false;
    const record = this.#locate(table, this.seek(name));
    if (record === 0) return false;
    this.begin();
    let isCarrier = false;
    try {
      this.#append([], commit => commit.delete(encode(name)));
      isCarrier = this.#replace(table, record, 0);
      this.words[this.at + CORE.COUNT]--;
      this.log?.made();
    } finally {
      this.end();
    }
    if (isCarrier) haveAllLook();
    return true;
  }

  /** A table of all that is alive in `from`, in its place. */
  #renew(from: Table | undefined, count: number): Table {
    const { heap, words, at } = this;
    const table = Table.make(this.space, count);
    if (from) {
      const used = from.used;
      for (let n = 0; n < used; n++)
        if (from.entryOf(from.record(n)) !== 0) table.addFrom(from, from.record(n));
    }
    heap.admit(table.handle);
    if (from) heap.condemn(from.handle);
    this.#install(table.handle);
    heap.admitted();
    if (from) heap.execute();
    this.#table = table;
    this.#generation = words[at + WORD.GENERATION];
    return table;
  }

  #install(handle: number): void {
    const { words, at } = this;
    Atomics.store(words, at + CORE.ROOT, handle);
    Atomics.add(words, at + WORD.GENERATION, 1);
    Atomics.add(words, at + CORE.SEQUENCE, 2);
  }

  /** Makes all these changes in one step. Under the lock. @throws {OutOfMemoryError} The map is as it was. */
  change(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    for (const { parcel } of changes) if (parcel instanceof Parcel) parcel.settle(this.space);
    this.begin();
    let isCarrier = false;
    try {
      isCarrier = this.#change(changes);
    } finally {
      this.end();
    }
    if (isCarrier) haveAllLook();
  }

  #change(changes: readonly Change[]): boolean {
    const { heap } = this;
    const entries: number[] = [];
    let table: Table;
    let journal: Int32Array;
    try {
      table = this.#withRoomFor(changes.length);
      journal = this.#journalFor(2 * changes.length);
      for (const { key, parcel, version } of changes)
        entries.push(parcel === undefined ? 0 : makeEntry(heap, parcel, this.seek(key), version));
    } catch (error) {
      for (const entry of entries) if (entry !== 0) heap.free(entry, this.bytesOf(entry));
      throw error;
    }
    this.#append(entries, commit => {
      for (const { key, parcel, isMoved } of changes) {
        if (isMoved || parcel === undefined) commit.delete(encode(key));
        if (parcel) commit.set(encode(key), contentOf(parcel, this.space));
      }
    });
    // From here on nothing is asked for.
    let grows = 0;
    for (const [i, { key, parcel, version, isMoved }] of changes.entries()) {
      const sought = this.seek(key);
      let record = this.#locate(table, sought);
      if (record !== 0 && (isMoved || parcel === undefined)) {
        this.#write(journal, record, 0, 0, table.entryOf(record));
        grows--;
        if (parcel === undefined) continue;
        record = 0;
        this.#slot = this.#emptySlot(table, sought.hash);
      }
      if (parcel === undefined) continue;
      const old = record === 0 ? 0 : table.entryOf(record);
      if (record === 0) {
        record = table.add(sought.hash, version, this.#slot);
        grows++;
      }
      const { handle } = parcel;
      this.#write(journal, record, entries[i], handle, old);
      if (handle === 0) continue;
      this.space.keep(handle);
      handedOn(parcel as Parcel);
    }
    return this.#perform(table, journal, grows);
  }

  #perform(table: Table, journal: Int32Array, grows: number): boolean {
    const { heap, words, at } = this;
    const count = journal[JOURNAL.COUNT];
    const olds: number[] = [];
    for (let i = 0; i < count; i++) olds.push(table.entryOf(journal[JOURNAL.STEPS + i * STEP.WORDS]));
    Atomics.add(words, at + CORE.SEQUENCE, 1);
    Atomics.store(journal, JOURNAL.COMMITTED, 1);
    apply(table, journal);
    words[at + CORE.COUNT] += grows;
    Atomics.add(words, at + CORE.SEQUENCE, 1);
    heap.settled();
    let isCarrier = false;
    for (const old of olds) {
      if (old === 0) continue;
      isCarrier ||= holdsOpen(heap, old);
      heap.free(old, this.bytesOf(old));
    }
    for (const block of blocksIn(journal, STEP.GOES)) this.space.reclaim(block);
    this.#closeJournal(journal);
    heap.tidy();
    this.log?.made();
    return isCarrier;
  }

  #write(journal: Int32Array, record: number, entry: number, comes: number, old: number): void {
    const count = journal[JOURNAL.COUNT];
    const at = JOURNAL.STEPS + count * STEP.WORDS;
    journal[at + STEP.RECORD] = record;
    journal[at + STEP.ENTRY] = entry;
    journal[at + STEP.COMES] = comes;
    journal[at + STEP.GOES] = old === 0 ? 0 : blockOf(this.heap, old);
    Atomics.store(journal, JOURNAL.COUNT, count + 1);
  }

  #emptySlot(table: Table, hash: number): number {
    let slot = table.slotFor(hash);
    while (table.words[slot] !== 0) slot = table.next(slot);
    return slot;
  }

  #withRoomFor(more: number): Table {
    const table = this.#current();
    if (table !== undefined && table.used + more <= table.capacity) return table;
    return this.#renew(table, this.words[this.at + CORE.COUNT] + more);
  }

  #journalFor(steps: number): Int32Array {
    const { words, at, heap } = this;
    const old = words[at + WORD.JOURNAL] >>> 0;
    if (old !== 0) {
      const journal = this.#journal();
      if (journal[JOURNAL.CAPACITY] >= steps) return journal;
    }
    const bytes = (JOURNAL.STEPS + steps * STEP.WORDS) * 4;
    const handle = this.space.allocate(bytes);
    const journal = this.space.at(handle, bytes).words;
    journal[JOURNAL.COMMITTED] = 0;
    journal[JOURNAL.COUNT] = 0;
    journal[JOURNAL.CAPACITY] = steps;
    heap.admit(handle);
    if (old !== 0) heap.condemn(old);
    Atomics.store(words, at + WORD.JOURNAL, handle);
    heap.admitted();
    if (old !== 0) heap.execute();
    return journal;
  }

  #journal(): Int32Array {
    const handle = this.words[this.at + WORD.JOURNAL] >>> 0;
    const head = this.space.at(handle, JOURNAL.STEPS * 4).words;
    return this.space.at(handle, (JOURNAL.STEPS + head[JOURNAL.CAPACITY] * STEP.WORDS) * 4).words;
  }

  #closeJournal(journal: Int32Array): void {
    Atomics.store(journal, JOURNAL.COUNT, 0);
    Atomics.store(journal, JOURNAL.COMMITTED, 0);
    if (journal[JOURNAL.CAPACITY] <= KEPT_STEPS) return;
    const { words, at } = this;
    this.heap.condemn(words[at + WORD.JOURNAL] >>> 0);
    Atomics.store(words, at + WORD.JOURNAL, 0);
    this.heap.execute();
  }

  /** Deletes all keys. Under the lock. @throws {OutOfMemoryError} The map is as it was. */
  clear(): void {
    const table = this.#current();
    if (table === undefined) return;
    const { heap, words, at } = this;
    this.begin();
    let isCarrier = false;
    try {
      const blocks: number[] = [];
      for (const entry of this.entries()) {
        const block = blockOf(heap, entry);
        if (block !== 0) blocks.push(block);
        isCarrier ||= holdsOpen(heap, entry);
      }
      const journal = blocks.length === 0 ? undefined : this.#journalFor(blocks.length);
      const empty = Table.make(this.space, 0);
      try {
        this.#append([], commit => commit.clear());
      } catch (error) {
        this.space.free(empty.handle);
        throw error;
      }
      for (const block of blocks) this.#name(journal as Int32Array, block);
      heap.admit(empty.handle);
      heap.condemn(table.handle);
      this.#install(empty.handle);
      words[at + CORE.COUNT] = 0;
      heap.admitted();
      heap.execute();
      if (journal) {
        for (const block of blocks) this.space.reclaim(block);
        this.#closeJournal(journal);
      }
      heap.settled();
      heap.rebuild();
      this.log?.made();
    } finally {
      this.end();
    }
    if (isCarrier) haveAllLook();
  }

  /** Notes a block that is about to go. */
  #name(journal: Int32Array, block: number): void {
    const count = journal[JOURNAL.COUNT];
    const at = JOURNAL.STEPS + count * STEP.WORDS;
    journal[at + STEP.COMES] = 0;
    journal[at + STEP.GOES] = block;
    Atomics.store(journal, JOURNAL.COUNT, count + 1);
  }

  entries(): Int32Array {
    const table = this.#current();
    const used = table?.used ?? 0;
    const found = new Int32Array(used);
    let count = 0;
    for (let n = 0; n < used; n++) {
      const entry = (table as Table).entryOf((table as Table).record(n));
      if (entry !== 0) found[count++] = entry;
    }
    return found.slice(0, count);
  }

  blocks(): number[] {
    const { words, at } = this;
    const found: number[] = [];
    for (const handle of [words[at + CORE.ROOT] >>> 0, words[at + WORD.JOURNAL] >>> 0])
      if (handle !== 0) found.push(handle);
    for (const entry of this.entries()) {
      const block = blockOf(this.heap, entry);
      if (block !== 0) found.push(block);
    }
    return found;
  }

  recover(): void {
    const { words, at } = this;
    Atomics.add(words, at + WORD.GENERATION, 1); // a table may have been replaced and not counted
    const table = this.#current();
    const journal = words[at + WORD.JOURNAL] === 0 ? undefined : this.#journal();
    if (table && journal?.[JOURNAL.COMMITTED]) {
      Atomics.or(words, at + CORE.SEQUENCE, 1);
      apply(table, journal);
    }
    const lost = journal ? [...blocksIn(journal, STEP.COMES), ...blocksIn(journal, STEP.GOES)] : [];
    words[at + CORE.COUNT] = this.entries().length;
    this.heap.recover(new Set(this.blocks()), lost);
    if (journal) this.#closeJournal(journal);
    const sequence = Atomics.load(words, at + CORE.SEQUENCE);
    Atomics.store(words, at + CORE.SEQUENCE, (sequence | 1) + 1);
    this.onRecovered();
    haveAllLook(); // something that a value held open may be gone
  }

  /** Told after a death, with the lock held. */
  onRecovered: () => void = () => {};
}

/** The encoded value in a parcel, which has been settled. */
function contentOf(parcel: Packed, space: Space): Uint8Array {
  if (parcel instanceof Parcel) return parcel.content(space);
  return new Uint8Array(parcel.words.buffer, 0, parcel.length);
}

function apply(table: Table, journal: Int32Array): void {
  const count = journal[JOURNAL.COUNT];
  for (let i = 0; i < count; i++) {
    const at = JOURNAL.STEPS + i * STEP.WORDS;
    Atomics.store(table.words, journal[at + STEP.RECORD] + RECORD.ENTRY, journal[at + STEP.ENTRY]);
  }
}

function blocksIn(journal: Int32Array, which: number): number[] {
  const found: number[] = [];
  const count = journal[JOURNAL.COUNT];
  for (let i = 0; i < count; i++) {
    const block = journal[JOURNAL.STEPS + i * STEP.WORDS + which] >>> 0;
    if (block !== 0) found.push(block);
  }
  return found;
}
