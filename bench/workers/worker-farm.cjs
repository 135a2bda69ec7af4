exports.increment = (x, done) => done(null, x + 1);
exports.echo = (bytes, done) => done(null, bytes);
