/** For its cluster pool. CommonJS, as it says only once that it is there, and a module would not listen yet. */
const { ClusterWorker } = require('poolifier');
const tasks = require('./tasks.cjs');

module.exports = new ClusterWorker({ ...tasks });
