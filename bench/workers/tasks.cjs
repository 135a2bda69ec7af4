/** workers/tasks.mjs for pools that load their workers with require(). */
exports.increment = x => x + 1;
exports.echo = bytes => bytes;
