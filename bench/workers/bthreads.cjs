const { parent } = require(process.env.BENCH_BTHREADS);
const tasks = require('./tasks.cjs');

for (const [name, task] of Object.entries(tasks)) parent.hook(name, task);
