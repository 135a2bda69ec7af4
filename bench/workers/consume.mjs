/** Consumes what the process that forked it sends, or what the thread that started it posts. */
import { parentPort, workerData } from 'node:worker_threads';
import { BATCH, consume } from '../harness/stream.mjs';

const thread = parentPort !== null;
const [source, options] = thread ? [parentPort, workerData] : [process, JSON.parse(process.argv[2])];

/** A thread posts as much as fits into memory: it is told after each batch that it may post another. */
const drain = take =>
  new Promise(resolve => {
    let taken = 0;
    source.on('message', function listener(item) {
      if (thread && (item === null || ++taken % BATCH === 0)) parentPort.postMessage('taken');
      if (item !== null) return take(item);
      source.off('message', listener);
      resolve();
    });
  });

const part = await consume(drain, options);
if (thread) parentPort.postMessage(part);
else process.send(part, () => process.exit());
