/** Who a process is within its family. */
export interface Identity {
  readonly name: string;
  /** '1:2' for the second process that the program's first one started; '' for the program itself. */
  readonly path: string;
  readonly daemon: boolean;
  /** It is killed when its parent ends, and so are its children. */
  readonly bound: boolean;
  readonly parent: {
    readonly pid: number;
    readonly name: string /** Its participant tag. */;
    readonly tag: number;
  };
}

let own: Identity | undefined;
let started = 0;

/** This process's; undefined in the program itself. */
export function identity(): Identity | undefined {
  return own;
}

/** In a child. */
export function adoptIdentity(given: Identity): void {
  own = given;
  started = 0;
}

/** The path of the next process that this one creates. */
export function nextPath(): string {
  started++;
  return own?.path ? `${own.path}:${started}` : String(started);
}
