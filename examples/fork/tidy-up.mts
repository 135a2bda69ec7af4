/*
 * A child that tidies up for its parent, too early. A forked child has the parent's 'exit' listeners, too; os._exit() leaves
 * without them. Started by `manyhands run`.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fork, os } from 'manyhands';

const folder = mkdtempSync(path.join(tmpdir(), 'parents-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true })); // when the program has ended

if (fork() === 0) os._exit(); // at once, without listeners
await os.wait();
console.log(`after a child's os._exit() the folder is ${existsSync(folder) ? 'there' : 'gone'}`);

if (fork() === 0) process.exit();
await os.wait();
console.log(`after a child's process.exit() the folder is ${existsSync(folder) ? 'there' : 'gone'}`);

// Output:
// after a child's os._exit() the folder is there
// after a child's process.exit() the folder is gone
