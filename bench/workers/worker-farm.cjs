exports.increment = (x, done) => done(null, x + 1);
exports.echo = (value, done) => done(null, value);
