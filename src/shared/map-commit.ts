import { crc32 } from '../platform/crc32.js';

/*
 * Changes of a SharedMap as bytes in its log, all of them or none (map-log.ts):
 *
 *   frame    {length of the records, u32; their checksum, u32; checksum of these two, u32; 0, u32} records
 *   record   {operation, u8; bytes of the key, u32; bytes of the value, u32} key value
 *
 * Numbers are little-endian. The second checksum begins with where in the file the frame lies: so its length can be trusted
 * before the records have been read, zeros are no frame, and neither is one that was moved.
 */
export const FRAME_HEAD = 16;
const RECORD_HEAD = 9;

/** Bytes of records in one frame, at most: it is written by one system call, which takes a little less than 2 GiB. */
const MOST_BYTES = 2 ** 31 - 2 ** 16;

/** A commit that was larger than this does not keep its memory for the next. */
const KEPT_BYTES = 2 ** 20;
const FIRST_BYTES = 2 ** 12;

const OPERATION = { set: 1, delete: 2, clear: 3 } as const;

/** What a commit says. Keys and values are good until the call returns: they lie in a buffer that is read into again. */
export interface MapChanges {
  set(key: Uint8Array, value: Uint8Array): void;
  delete(key: Uint8Array): void;
  clear(): void;
}

/** Bytes that one entry takes in the log, in a commit with others. */
export function loggedBytes(key: number, value: number): number {
  return RECORD_HEAD + key + value;
}

/** Collects changes for one frame of the log, in order. To be used again after reset(). */
export class MapCommit implements MapChanges {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #end = FRAME_HEAD;

  /** Bytes of the frame; 0: there is nothing in it. */
  get length(): number {
    return this.#end === FRAME_HEAD ? 0 : this.#end;
  }

  /** @throws {RangeError} The commit would be larger than a frame can be. It stays as it was. */
  set(key: Uint8Array, value: Uint8Array): void {
    this.#add(OPERATION.set, key, value);
  }

  delete(key: Uint8Array): void {
    this.#add(OPERATION.delete, key, NOTHING);
  }

  clear(): void {
    this.#add(OPERATION.clear, NOTHING, NOTHING);
  }

  reset(): void {
    this.#end = FRAME_HEAD;
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  }

  /** The frame, for this place in the file. Good until the commit is changed. */
  frameAt(offset: number): Buffer {
    const frame = this.#bytes.subarray(0, this.#end);
    frame.writeUInt32LE(this.#end - FRAME_HEAD, 0);
    frame.writeUInt32LE(crc32(frame.subarray(FRAME_HEAD)), 4);
    frame.writeUInt32LE(headChecksum(frame, offset), 8);
    frame.writeUInt32LE(0, 12);
    return frame;
  }

  #add(operation: number, key: Uint8Array, value: Uint8Array): void {
    const end = this.#end + RECORD_HEAD + key.length + value.length;
    if (end > MOST_BYTES)
      throw new RangeError(
        `Cannot log ${end} bytes of changes as one step: a persisted map takes ${MOST_BYTES}, so commit less at a time`,
      );
    if (end > this.#bytes.length) this.#grow(end);
    const bytes = this.#bytes;
    let at = this.#end;
    bytes[at] = operation;
    bytes.writeUInt32LE(key.length, at + 1);
    bytes.writeUInt32LE(value.length, at + 5);
    at += RECORD_HEAD;
    bytes.set(key, at);
    bytes.set(value, at + key.length);
    this.#end = end;
  }

  #grow(bytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(bytes, this.#bytes.length * 2), MOST_BYTES));
    larger.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = larger;
  }
}

const NOTHING = new Uint8Array();

/** The length of the records of the frame with this head, at this place in the file. Undefined: that is no frame. */
export function frameLength(head: Buffer, offset: number): number | undefined {
  const length = head.readUInt32LE(0);
  return head.readUInt32LE(8) === headChecksum(head, offset) && length <= MOST_BYTES ? length : undefined;
}

function headChecksum(head: Buffer, offset: number): number {
  return crc32(head.subarray(0, 8), offset % 2 ** 32);
}

/** Are these the records that the head speaks of, from the first byte to the last? */
export function isWhole(head: Buffer, records: Buffer): boolean {
  if (crc32(records) !== head.readUInt32LE(4)) return false;
  let at = 0;
  while (at < records.length) {
    if (at + RECORD_HEAD > records.length) return false;
    const operation = records[at];
    if (operation < OPERATION.set || operation > OPERATION.clear) return false;
    at += RECORD_HEAD + records.readUInt32LE(at + 1) + records.readUInt32LE(at + 5);
  }
  return at === records.length;
}

/** Tells what whole records say. */
export function tellRecords(records: Buffer, to: MapChanges): void {
  for (let at = 0; at < records.length; ) {
    const operation = records[at];
    const keyAt = at + RECORD_HEAD;
    const valueAt = keyAt + records.readUInt32LE(at + 1);
    const end = valueAt + records.readUInt32LE(at + 5);
    if (operation === OPERATION.set) to.set(records.subarray(keyAt, valueAt), records.subarray(valueAt, end));
    else if (operation === OPERATION.delete) to.delete(records.subarray(keyAt, valueAt));
    else to.clear();
    at = end;
  }
}
