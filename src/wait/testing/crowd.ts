import { words } from '../../memory/commons.js';
import { wake } from '../line.js';
import { park, parkSync } from '../park.js';
import { joinFamily } from './peer.js';

/** A peer that waits, gives up and wakes others at `word` in turns for ever, in both forms at once. */
async function main(): Promise<void> {
  const { word, beats } = joinFamily<{ word: number; beats: number }>();
  for (let i = 0; ; i++) {
    const mine = [park(word, 0, { timeout: i % 3 }), park(word, 0, { timeout: 3 })];
    if (i % 2 === 0) parkSync(word, 0, { timeout: 1 });
    wake(word, 1 + (i % 3));
    await Promise.all(mine);
    Atomics.add(words, beats, 1);
    wake(beats);
  }
}

void main();
