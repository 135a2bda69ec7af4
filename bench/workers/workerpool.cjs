const { Transfer, worker } = require('workerpool');
const tasks = require('./tasks.cjs');

worker({ ...tasks, giveBack: bytes => new Transfer(bytes, [bytes.buffer]) });
