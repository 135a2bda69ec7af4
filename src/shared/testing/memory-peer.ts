import { forked } from '../../testing/carriers.js';
import { answerCalls } from '../../testing/programs.js';
import { SharedMemory } from '../shared-memory.js';

/* An unrelated program for tests, which makes blocks of memory and attaches to those of others. */
const kept: SharedMemory[] = [];

const acts = {
  make(size: number) {
    const shm = new SharedMemory({ create: true, size });
    kept.push(shm);
    return shm.name;
  },
  attach(name: string) {
    const shm = new SharedMemory({ name });
    kept.push(shm);
    return shm.size;
  },
  /** Has a child make a block, and end. */
  async makeInChild(size: number) {
    const child = forked.start(make, size);
    const name = await child.result();
    await child.join();
    return name;
  },
  /** Has a child keep a block; its pid. */
  keepInChild(size: number) {
    const child = forked.start(keep, size);
    return (child as { pid?: number }).pid;
  },
  /** Makes one after the other until it is killed. */
  storm() {
    for (;;) acts.make(4096);
  },
};
export type MemoryAct = keyof typeof acts;

function make(size: number): string {
  return new SharedMemory({ create: true, size }).name;
}

async function keep(size: number): Promise<void> {
  kept.push(new SharedMemory({ create: true, size }));
  await new Promise(resolve => setTimeout(resolve, 2 ** 30));
}

answerCalls(acts);
