/** The other end of a bare channel: a worker thread's port, or a child process's. */
const { parentPort } = require('node:worker_threads');

if (parentPort) parentPort.on('message', ([task, value]) => parentPort.postMessage(run(task, value)));
else process.on('message', ([task, value]) => process.send(run(task, value)));

function run(task, value) {
  return task === 'increment' ? value + 1 : value;
}
