import { LockError } from '../../errors/errors.js';
import { ServedLock } from './lock.js';
import { caller, type Owner } from './owner.js';

/** A lock of a manager that the client who holds it may acquire again. */
export class ServedRLock extends ServedLock {
  protected override get kind(): string {
    return 'RLock';
  }

  /** Gives one level back. @throws {LockError} The caller is not its owner. */
  override release(): void {
    if (this.owner !== undefined && this.owner !== caller())
      throw new LockError(
        'Cannot release this RLock as its owner is another: release it in the thread that acquired it',
      );
    super.release();
  }

  protected override isReentrant(owner: Owner): boolean {
    return this.owner === owner;
  }
}
