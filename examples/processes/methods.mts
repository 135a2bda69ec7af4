/*
 * What a child knows of its parent, by each start method. By forkserver and spawn it is a new program, which knows what it was
 * sent; by fork it is a copy of this one as it is now, and for that this has to be started by `manyhands run`.
 */
import { getAllStartMethods, getContext } from 'manyhands';

declare global {
  var motto: string | undefined;
}
globalThis.motto = 'set by the parent';

for (const method of getAllStartMethods()) {
  const { Process } = getContext(method);
  const child = new Process({ target: () => globalThis.motto ?? 'never heard of it' });
  child.start();
  console.log(`${method}: ${await child.result()}`);
  await child.join();
}

// Output:
// forkserver: never heard of it
// spawn: never heard of it
// fork: set by the parent
