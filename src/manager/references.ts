import { registerHandle } from '../codec/handles.js';

/** One side of a connection, whose messages name served objects by number. */
export interface Side {
  /** What the other side means. @throws {SerializationError} There is no such object. */
  resolve(object: number, type: number): object;
}

/** A served object in a message between its server and a client. */
export class Reference {
  constructor(
    readonly object: number,
    readonly type: number,
  ) {}
}

let reading: Side | undefined;

/** Runs `decode` for a message that came to `side`. */
export function readingFor<R>(side: Side, decode: (bytes: Uint8Array) => R, bytes: Uint8Array): R {
  const before = reading;
  reading = side;
  try {
    return decode(bytes);
  } finally {
    reading = before;
  }
}

type Sent = readonly [object: number, type: number];

registerHandle<Reference, Sent>(
  'Reference',
  Reference,
  ({ object, type }) => [object, type],
  ([object, type]) => {
    if (!reading) throw new RangeError('a reference came by another way than a manager connection');
    return reading.resolve(object, type) as Reference;
  },
  () => true,
);
