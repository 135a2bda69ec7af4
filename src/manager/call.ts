/** One connected thread of a program, as the server knows it: from its connection to the end of that. */
export interface Client {
  /** Who it is, for messages: as `process 4711, thread 1`. */
  readonly name: string;
  /** Is it of the server's own family, so that it sees the same shared memory? */
  readonly isFamily: boolean;
  readonly hasEnded: boolean;
  /**
   * Has `callback` called once, when its connection ends, whether it was closed or the client was killed. Returns the way to have it
   * not called. Callbacks run in the order in which they came.
   */
  onEnd(callback: () => void): () => void;
}

/** A call that a served method answers. */
export interface Call {
  readonly client: Client;
  /**
   * Aborted when the caller gives up, or its connection ends. Who has asked for it decides how the call ends: what the method
   * returns or throws is the answer, even then, so nothing need be lost. A method that never asks is left alone: its
   * caller is told at once that it has given up.
   */
  readonly signal: AbortSignal;
  /** Has `callback` called if what the method returned cannot be sent, as the connection has ended or the caller has given up. */
  onLost(callback: () => void): void;
}

/** Where the calls of a client are kept that have been asked for. */
export interface CallSource {
  callOf(number: number): Call;
}

let source: CallSource | undefined;
let number = 0;

/**
 * The call that the served method answers which runs now; undefined elsewhere. Ask before the first `await`, and keep it: afterwards
 * other methods may have run.
 */
export function currentCall(): Call | undefined {
  return source?.callOf(number);
}

/** Runs `method` of `object` as the answer to a call. */
export function runCall(
  of: CallSource,
  call: number,
  object: object,
  method: (...args: unknown[]) => unknown,
  args: readonly unknown[],
): unknown {
  const [sourceBefore, numberBefore] = [source, number];
  source = of;
  number = call;
  try {
    return Reflect.apply(method, object, args);
  } finally {
    source = sourceBefore;
    number = numberBefore;
  }
}
