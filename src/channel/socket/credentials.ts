import { inspect } from 'node:util';
import { checkedAuthkey, ownAuthkey } from '../../memory/authkey.js';
import type { Credentials } from './handshake.js';

/** How a connection is proved. */
export interface ProofOptions {
  /** The key that both ends have. Absent: that of this process, which all processes of the program have; see {@link Process.authkey}. */
  authkey?: Uint8Array;
  /**
   * Is a proof by MD5 good enough, as CPython up to 3.11 gives and asks it? Default false. MD5 proves the key still, as far as is
   * known, but is weaker than what both ends could have.
   */
  allowMd5?: boolean;
}

/** @throws {TypeError} Those are no such options. */
export function credentialsOf({ authkey, allowMd5 = false }: ProofOptions): Credentials {
  if (typeof allowMd5 !== 'boolean')
    throw new TypeError(`Cannot use ${inspect(allowMd5)} as "allowMd5": give true or false`);
  const key = authkey === undefined ? ownAuthkey() : checkedAuthkey(authkey);
  if (key.length === 0)
    throw new RangeError(
      'Cannot use an "authkey" of 0 bytes as anybody has it: give bytes that are hard to guess',
    );
  return { key, allowMd5 };
}
