import { MapCommit } from '../map-commit.js';
import { LOG_START, type LogVisitor, logPlace, MapLog } from '../map-log.js';

/*
 * To be run where files must not grow beyond some size, as on a full disk: appends commits until there is no room, compacts, and
 * says as JSON what came of it.
 */
const [file] = process.argv.slice(2);
const log = MapLog.open(logPlace(file), 1);
const key = Buffer.from('key');
const commit = new MapCommit();
commit.set(key, Buffer.alloc(10_000, 1));

let commits = 0;
let end = LOG_START;
const appendError = failureOf(() => {
  for (; ; commits++) end = log.append(commit, end);
});
const isAsBefore = log.length === end;
const compactError = failureOf(() =>
  log.compact(Array.from({ length: 100 }, () => [key, Buffer.alloc(10_000)])),
);
let found = 0;
const count: LogVisitor = { set: () => found++, delete: () => {}, clear: () => {}, committed: () => {} };
const replayed = log.replay(LOG_START, count);
console.log(JSON.stringify({ commits, found, isAsBefore, rest: replayed.rest, appendError, compactError }));

function failureOf(act: () => void): { message: string; code: string } | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    const { message, cause } = error as Error;
    return { message, code: (cause as NodeJS.ErrnoException).code ?? '' };
  }
}
