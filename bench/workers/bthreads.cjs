const { parent } = require(process.env.BENCH_BTHREADS);
const { increment, echo } = require('./tasks.cjs');

parent.hook('increment', increment);
parent.hook('echo', echo);
