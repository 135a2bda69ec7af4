/** The other end of a bare channel: a worker thread's port, or a child process's. */
const { parentPort } = require('node:worker_threads');
const tasks = require('./tasks.cjs');

if (parentPort) parentPort.on('message', ([task, value]) => answer(task, value));
else process.on('message', ([task, value]) => process.send(tasks[task](value)));

function answer(task, value) {
  if (task === 'giveBack') parentPort.postMessage(value, [value.buffer]);
  else parentPort.postMessage(tasks[task](value));
}
