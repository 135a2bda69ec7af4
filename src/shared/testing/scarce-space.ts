import { SpaceOver } from '../../channel/testing/space-over.js';
import { OutOfMemoryError } from '../../errors/errors.js';

/** Memory of which there is none when it is asked for the n-th time. */
export class ScarceSpace extends SpaceOver {
  left = Number.POSITIVE_INFINITY;

  override allocate(bytes: number): number {
    if (--this.left === 0) throw new OutOfMemoryError('Cannot allocate: this is a test');
    return super.allocate(bytes);
  }
}
