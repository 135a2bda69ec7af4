/**
 * Given to a constructor in place of options, for an object that stands for a process or thread which runs already: the one
 * that the object is made in, or one that this knows of. It can be asked who that is, and not be started again.
 */
export class Known {
  readonly name: string;
  readonly daemon: boolean;

  constructor(name: string, daemon: boolean) {
    this.name = name;
    this.daemon = daemon;
  }

  /** Why nobody may do that with it from here; undefined: anybody may. */
  refusal(act: string): string | undefined {
    return `Cannot ${act} ${this.name} from here: that is for who started it, by the object that was made for it`;
  }
}

/** What a process may do with itself. */
const OF_ONESELF = new Set([
  'tell the authkey of',
  'set the authkey of',
  'set the priority of',
  'set the affinity of',
]);

/** The same for a process. Its id is asked for anew each time, as it may have forked. */
export class KnownProcess extends Known {
  get pid(): number {
    return process.pid;
  }

  override refusal(act: string): string | undefined {
    return OF_ONESELF.has(act) ? undefined : super.refusal(act);
  }
}

/** The same for a thread. */
export class KnownThread extends Known {
  readonly ident: number;
  readonly nativeId: number;
  /** Its participant; 0: that is not known, and it lives as long as who knows it. */
  readonly tag: number;

  constructor(name: string, daemon: boolean, ident: number, nativeId: number, tag: number) {
    super(name, daemon);
    this.ident = ident;
    this.nativeId = nativeId;
    this.tag = tag;
  }
}
