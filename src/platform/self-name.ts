import { isMainThread, threadId } from 'node:worker_threads';

let given: string | undefined;

/** What this thread is called in messages: its own name, or that of the process whose main thread it is. */
export function selfName(): string {
  return given ?? (isMainThread ? 'MainProcess' : `Thread ${threadId}`);
}

export function nameSelf(name: string): void {
  given = name;
}
