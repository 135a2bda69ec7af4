import { borrow, giveBack, handedOn, Parcel } from '../channel/parcel.js';
import { decode } from '../codec/decode.js';
import type { Packed } from './entry.js';
import type { AnyKey } from './key.js';
import type { MapStore } from './map-store.js';

/** What a key is to become. */
export interface Draft {
  readonly key: AnyKey;
  /** Undefined: it is deleted. */
  readonly parcel: Packed | undefined;
  readonly version: number;
  /** Is it in the map as all see it? */
  readonly wasThere: boolean;
  /** Does it come last: was it not there, or deleted in between? */
  readonly isLast: boolean;
}

/** Changes of a map that only their maker sees yet. The lock is held from its beginning to its end, so the map itself stays as it is. */
export class Transaction {
  readonly #store: MapStore;
  /** In order of insertion those that come last. */
  readonly drafts = new Map<AnyKey, Draft>();
  /** How many keys there are more than in the map. */
  #growth = 0;

  constructor(store: MapStore) {
    this.#store = store;
  }

  get size(): number {
    return this.#store.count() + this.#growth;
  }

  /** What the parcel holds is the transaction's from now on. */
  set(key: AnyKey, parcel: Parcel): void {
    const before = this.drafts.get(key);
    const wasThere = before?.wasThere ?? this.#store.has(key);
    const isThere = before ? before.parcel !== undefined : wasThere;
    const version = this.#store.newVersion();
    const kept = keep(parcel);
    if (!isThere) {
      this.drafts.delete(key); // it comes last now
      this.#growth++;
    }
    const isLast = isThere ? (before?.isLast ?? false) : true;
    this.drafts.set(key, { key: key === 0 ? 0 : key, parcel: kept, version, wasThere, isLast });
    this.#drop(before);
  }

  delete(key: AnyKey): boolean {
    const before = this.drafts.get(key);
    const wasThere = before?.wasThere ?? this.#store.has(key);
    if (before ? before.parcel === undefined : !wasThere) return false;
    this.#growth--;
    if (wasThere) this.drafts.set(key, { key, parcel: undefined, version: 0, wasThere, isLast: false });
    else this.drafts.delete(key);
    this.#drop(before);
    return true;
  }

  /** What is encoded in a draft. */
  decode({ parcel }: Draft): unknown {
    if (parcel instanceof Parcel) return decode(parcel.waiting ?? parcel.content(this.#store.space));
    return parcel && decode(new Uint8Array(parcel.words.buffer, 0, parcel.length));
  }

  /** Makes all of it happen. The keys that changed. @throws {OutOfMemoryError} Nothing did. */
  commit(): AnyKey[] {
    const all = [...this.drafts.values()];
    this.#store.change(all.map(draft => ({ ...draft, isMoved: draft.wasThere && draft.isLast })));
    return all.map(({ key }) => key);
  }

  /** It has happened, or never will. */
  end(): void {
    for (const draft of this.drafts.values()) this.#drop(draft);
    this.drafts.clear();
  }

  #drop(draft: Draft | undefined): void {
    if (draft?.parcel instanceof Parcel) giveBack(draft.parcel, this.#store.space);
  }
}

/** What is in the parcel, which is empty afterwards. */
function keep(parcel: Parcel): Packed {
  const { length, handle, lead, waiting } = parcel;
  if (handle === 0 && waiting === undefined)
    return { words: parcel.words.slice(0, (length + 3) >>> 2), length, handle, lead };
  const kept = borrow();
  Object.assign(kept, { length, handle, lead, waiting, tickets: parcel.tickets });
  parcel.waiting = undefined;
  handedOn(parcel);
  return kept;
}
