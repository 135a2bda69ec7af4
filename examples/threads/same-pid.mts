/*
 * All threads of a process have its pid, and each a number of its own in the kernel. A process has another pid.
 */
import { currentThread, mainThread, Process, Thread } from 'manyhands';

const whoAmI = () => ({ pid: process.pid, thread: currentThread().nativeId });
const tell = (name: string, { pid, thread }: ReturnType<typeof whoAmI>) => {
  const whose = pid === process.pid ? 'of this process' : 'of another';
  console.log(`${name}: pid ${pid}, thread ${thread} ${whose}`);
};

tell(mainThread().name, whoAmI());
for (let n = 1; n <= 2; n++) {
  const thread = new Thread({ target: whoAmI }).start();
  tell(thread.name, await thread.result());
}
const child = new Process({ target: whoAmI }).start();
tell(child.name, await child.result());

// Output:
// MainThread: pid <pid>, thread <pid> of this process
// Thread-1: pid <pid>, thread … of this process
// Thread-2: pid <pid>, thread … of this process
// Process-1: pid <child>, thread <child> of another
