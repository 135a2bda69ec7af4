import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { ManyhandsError, NameInUseError } from '../errors/errors.js';
import { leavesNothing } from '../testing/leaks.js';
import { Program } from '../testing/programs.js';
import { MapCommit } from './map-commit.js';
import {
  isWorthCompacting,
  LOG_START,
  type LogVisitor,
  liveLength,
  logPlace,
  MapLog,
  type Replayed,
} from './map-log.js';
import type { Act } from './testing/log-writer.js';

leavesNothing();

/* MANYHANDS_KILLS: how often somebody is killed while it writes. */
const KILLS = Number(process.env.MANYHANDS_KILLS ?? 4);
const LIMIT = { timeout: 60_000 };
const WRITER = path.join(__dirname, 'testing', 'log-writer.js');
const SESSION = 7;

let folder: string;
let file: string;
const open: MapLog[] = [];
const writers: Program<Act>[] = [];

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'log-'));
  file = path.join(folder, 'map.log');
});
afterEach(async () => {
  for (const log of open.splice(0)) log.close();
  for (const writer of writers.splice(0)) await writer.kill();
  rmSync(folder, { recursive: true });
});

function openLog(session = SESSION, at = file): MapLog {
  const log = MapLog.open(logPlace(at), session);
  open.push(log);
  return log;
}

type Change = readonly ['set', string, string] | readonly ['delete', string] | readonly ['clear'];

function commitOf(changes: readonly Change[]): MapCommit {
  const commit = new MapCommit();
  for (const [operation, key = '', value = ''] of changes) {
    if (operation === 'set') commit.set(Buffer.from(key), Buffer.from(value));
    else if (operation === 'delete') commit.delete(Buffer.from(key));
    else commit.clear();
  }
  return commit;
}

/** What a log says from `from` on, commit by commit. */
function told(log: MapLog, from = LOG_START): { commits: Change[][]; ends: number[]; found: Replayed } {
  const commits: Change[][] = [];
  const ends: number[] = [];
  let commit: Change[] = [];
  const found = log.replay(from, {
    set: (key, value) => commit.push(['set', String(key), String(value)]),
    delete: key => commit.push(['delete', String(key)]),
    clear: () => commit.push(['clear']),
    committed: end => {
      commits.push(commit);
      ends.push(end);
      commit = [];
    },
  });
  assert.deepEqual(commit, [], 'nothing of a commit is told that is not told to its end');
  return { commits, ends, found };
}

const HISTORY: Change[][] = [
  [['set', 'a', '1']],
  [
    ['set', 'b', ''],
    ['delete', 'a'],
    ['set', '', 'x'.repeat(40)],
  ],
  [['clear']],
  [
    ['set', 'ключ', '\0\n'],
    ['set', 'c', '3'],
  ],
];

/** Writes the history; where each of its commits ends. */
function writeHistory(log: MapLog): number[] {
  let end = LOG_START;
  return HISTORY.map(changes => {
    end = log.append(commitOf(changes), end);
    return end;
  });
}

/** The commits before this place. */
function before(ends: readonly number[], place: number): Change[][] {
  return HISTORY.slice(0, ends.filter(end => end <= place).length);
}

test('what was appended is told again, in order and commit by commit, from any of them on', () => {
  const ends = writeHistory(openLog());
  const log = openLog();
  const { commits, ends: again, found } = told(log);
  assert.deepEqual(commits, HISTORY);
  assert.deepEqual(again, ends);
  assert.deepEqual(found, { end: log.length, rest: 'nothing' });
  assert.deepEqual(told(log, ends[1]).commits, HISTORY.slice(2));
  assert.deepEqual(told(log, ends.at(-1)).commits, []);
});

test('a new log is empty, and for its user alone', () => {
  const log = openLog();
  assert.deepEqual(told(log), { commits: [], ends: [], found: { end: LOG_START, rest: 'nothing' } });
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('an empty commit writes nothing, and a commit can be used again', () => {
  const log = openLog();
  assert.equal(log.append(new MapCommit(), LOG_START), LOG_START);
  assert.equal(log.length, LOG_START);
  const commit = commitOf([['set', 'large', 'x'.repeat(3 * 2 ** 20)]]);
  const end = log.append(commit, LOG_START);
  commit.reset();
  assert.equal(commit.length, 0);
  commit.set(Buffer.from('k'), Buffer.from('v'));
  log.append(commit, end);
  assert.deepEqual(told(log, end).commits, [[['set', 'k', 'v']]]);
  assert.equal(told(log).commits.length, 2);
});

test('a log that was cut anywhere gives all commits before that place, and goes on from there', () => {
  const ends = writeHistory(openLog());
  const whole = readFileSync(file);
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(file, whole.subarray(0, length));
    const log = openLog();
    const expected = before(ends, length);
    const { commits, found } = told(log);
    assert.deepEqual(commits, expected, `${length} bytes`);
    const end = ends[expected.length - 1] ?? LOG_START;
    assert.deepEqual(found, { end, rest: length > end ? 'unfinished' : 'nothing' });
    assert.equal(log.cut(found), undefined);
    assert.equal(log.length, end);
    log.append(commitOf([['set', 'on', 'and on']]), end);
    assert.deepEqual(told(log).commits, [...expected, [['set', 'on', 'and on']]]);
    log.close();
  }
});

test('no bit can be another without that its commit and those behind it are left out', () => {
  const ends = writeHistory(openLog());
  const whole = readFileSync(file);
  for (let bit = LOG_START * 8; bit < whole.length * 8; bit++) {
    const at = bit >> 3;
    // The last four bytes of a frame's head mean nothing.
    const start = [LOG_START, ...ends].findLast(end => end <= at) as number;
    if (at - start >= 12 && at - start < 16) continue;
    const other = Buffer.from(whole);
    other[at] ^= 1 << (bit & 7);
    writeFileSync(file, other);
    const log = openLog();
    const { commits, found } = told(log);
    assert.deepEqual(commits, before(ends, at), `bit ${bit}`);
    assert.deepEqual(found, { end: start, rest: 'damaged' });
    log.close();
  }
});

test('a log of garbage, of zeros, or with a commit in another place ends there', () => {
  const ends = writeHistory(openLog());
  const whole = readFileSync(file);
  const commit = whole.subarray(ends[0], ends[1]);
  for (const rest of [
    Buffer.alloc(100),
    commit,
    ...Array.from({ length: 200 }, () => randomBytes(randomInt(16, 200))),
  ]) {
    writeFileSync(file, Buffer.concat([whole, rest]));
    const log = openLog();
    const { commits, found } = told(log);
    assert.deepEqual(commits, HISTORY);
    assert.deepEqual(found, { end: whole.length, rest: 'damaged' }, rest.toString('hex'));
    log.close();
  }
});

test('a commit whose checksum is right and whose records are not is no commit', () => {
  const log = openLog();
  const commit = commitOf([['set', 'key', 'value']]);
  for (const [at, byte] of [
    [0, 0],
    [0, 4],
    [1, 4],
    [5, 200],
    [8, 255],
  ]) {
    const frame = commit.frameAt(LOG_START);
    const was = frame[16 + at];
    frame[16 + at] = byte;
    log.append(commit, LOG_START);
    assert.deepEqual(told(log).found, { end: LOG_START, rest: 'damaged' });
    frame[16 + at] = was;
  }
});

test('what is damaged is kept aside when it is cut off', () => {
  const [end] = writeHistory(openLog());
  const damaged = readFileSync(file);
  damaged[end + 20] ^= 1;
  writeFileSync(file, damaged);
  const log = openLog();
  const aside = log.cut(told(log).found);
  assert.equal(aside, `${file}.damaged`);
  assert.deepEqual(readFileSync(aside), damaged);
  assert.deepEqual(told(log), { commits: HISTORY.slice(0, 1), ends: [end], found: { end, rest: 'nothing' } });
});

test('an append writes over what a death left at the end', () => {
  const log = openLog();
  const ends = writeHistory(log);
  truncateSync(file, ends[3] - 1);
  const end = log.append(commitOf([['clear']]), ends[2]);
  assert.deepEqual(told(log).commits, [...HISTORY.slice(0, 3), [['clear']]]);
  assert.ok(log.length >= end);
});

test('compact() leaves what it was given, in the rights of the old file', () => {
  const log = openLog();
  writeHistory(log);
  chmodSync(file, 0o640);
  const many = Array.from(
    { length: 5000 },
    (_, i) => [Buffer.from(`key ${i}`), Buffer.alloc(100, i)] as const,
  );
  const end = log.compact(many);
  assert.equal(log.length, end);
  assert.equal(statSync(file).mode & 0o777, 0o640);
  const bytes = many.reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  assert.ok(Math.abs(liveLength(many.length, bytes) - end) < 100);
  const { commits, found } = told(log);
  assert.deepEqual(
    commits.flat(),
    many.map(([key, value]) => ['set', String(key), String(value)]),
  );
  assert.deepEqual(found, { end, rest: 'nothing' });
  log.append(commitOf([['set', 'k', 'v']]), end);
  assert.deepEqual(told(openLog(), end).commits, [[['set', 'k', 'v']]]);
  assert.deepEqual(readdirSync(folder), ['map.log']);
});

test('to nothing', () => {
  const log = openLog();
  writeHistory(log);
  assert.equal(log.compact([]), LOG_START);
  assert.deepEqual(told(log).commits, []);
});

test('refresh() finds the file that another has put in place', () => {
  const log = openLog();
  const other = openLog();
  writeHistory(log);
  assert.equal(other.refresh(), false);
  const end = log.compact([[Buffer.from('k'), Buffer.from('v')]]);
  assert.notDeepEqual(told(other).commits, [[['set', 'k', 'v']]]);
  assert.equal(other.refresh(), true);
  assert.equal(other.length, end);
  assert.deepEqual(told(other).commits, [[['set', 'k', 'v']]]);
  assert.equal(other.refresh(), false);
});

test('a compact() that fails, or was killed, changes nothing', () => {
  const log = openLog();
  const ends = writeHistory(log);
  const thrown = new Error('no more entries');
  assert.throws(
    () =>
      log.compact(
        (function* () {
          yield [Buffer.from('k'), Buffer.from('v')] as const;
          throw thrown;
        })(),
      ),
    thrown,
  );
  assert.deepEqual(readdirSync(folder), ['map.log']);
  assert.deepEqual(told(log).commits, HISTORY);
  // As a killed one leaves it; and a link that leads elsewhere is not followed.
  const elsewhere = path.join(folder, 'elsewhere');
  writeFileSync(elsewhere, 'untouched');
  symlinkSync(elsewhere, `${file}.compacting`);
  log.append(commitOf([['clear']]), ends[3]);
  log.compact([[Buffer.from('k'), Buffer.from('v')]]);
  assert.equal(readFileSync(elsewhere, 'utf8'), 'untouched');
  assert.deepEqual(told(openLog()).commits, [[['set', 'k', 'v']]]);
});

test('it is worth while when most of a log of some size is garbage', () => {
  const MiB = 2 ** 20;
  assert.equal(isWorthCompacting(10 * MiB, MiB), true);
  assert.equal(isWorthCompacting(10 * MiB, 6 * MiB), false);
  assert.equal(isWorthCompacting(3 * MiB, 0), false);
});

test('who is killed while it writes leaves whole commits, and at most one unfinished', LIMIT, async () => {
  const unfinished: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    rmSync(file, { force: true });
    let tell = (): void => {};
    const isFlooding = new Promise<void>(resolve => {
      tell = resolve;
    });
    const writer = new Program<Act>(WRITER, () => tell());
    writers.push(writer);
    writer.call('flood', file, SESSION, 2 ** 20 + kill).catch(() => {});
    await isFlooding;
    await writer.kill();
    const log = openLog();
    const seen: [number, number][] = [];
    const visitor: LogVisitor = {
      set: (_key, value) => seen.push([value[0], value[value.length - 1]]),
      delete: () => {},
      clear: () => {},
      committed: () => {},
    };
    const found = log.replay(LOG_START, visitor);
    assert.ok(seen.length >= 6 && seen.length % 2 === 0);
    for (const [i, [first, last]] of seen.entries())
      assert.deepEqual([first, last], [(i >> 1) & 255, (i >> 1) & 255]);
    assert.notEqual(found.rest, 'damaged');
    unfinished.push(log.length - found.end);
    log.cut(found);
    assert.equal(log.length, found.end);
    log.close();
  }
});

test('a full disk: the error says so, and the log is as it was', LIMIT, () => {
  const program = path.join(__dirname, 'testing', 'full-disk.js');
  const { stdout, stderr } = spawnSync(
    'sh',
    ['-c', 'ulimit -f 128; exec "$@"', 'sh', process.execPath, program, file],
    { encoding: 'utf8' },
  );
  assert.equal(stderr, '');
  const { commits, found, isAsBefore, rest, appendError, compactError } = JSON.parse(stdout);
  assert.ok(commits >= 3);
  assert.deepEqual([found, isAsBefore, rest], [commits, true, 'nothing']);
  assert.equal(appendError.code, 'EFBIG');
  assert.match(appendError.message, /^Cannot write to the log .*map\.log as .*: raise that limit$/);
  assert.equal(compactError.code, 'EFBIG');
  assert.match(compactError.message, /^Cannot compact the log /);
  assert.deepEqual(readdirSync(folder), ['map.log']);
});

test('a file that is no log, or that of another version, is refused and stays as it is', () => {
  openLog().close();
  const header = readFileSync(file);
  const newer = Buffer.from(header);
  newer[24]++;
  const otherFormat = Buffer.from(header);
  otherFormat[28]++;
  const cases: [Buffer, RegExp][] = [
    [Buffer.from('# A text of somebody\n'.repeat(10)), /no log of a SharedMap: name one that is/],
    [Buffer.from('short'), /no log of a SharedMap/],
    [Buffer.alloc(LOG_START), /no log of a SharedMap/],
    [newer, /another version of manyhands wrote it \(layout 2/],
    [otherFormat, /another version of manyhands wrote it \(layout 1, values 2/],
  ];
  for (const [content, message] of cases) {
    writeFileSync(file, content);
    assert.throws(
      () => openLog(),
      error => error instanceof NameInUseError && message.test(error.message),
      String(message),
    );
    assert.deepEqual(readFileSync(file), content);
  }
});

test('what cannot be a log is refused with what to do', () => {
  assert.throws(() => logPlace(''), TypeError);
  assert.throws(() => logPlace('a\0b'), TypeError);
  assert.throws(() => logPlace(1 as never), TypeError);
  const refuses = (at: string, code: string, message: RegExp): void => {
    assert.throws(
      () => openLog(SESSION, at),
      (error: ManyhandsError) =>
        error instanceof ManyhandsError &&
        (error.cause as NodeJS.ErrnoException).code === code &&
        message.test(error.message),
      at,
    );
  };
  refuses(folder, 'EISDIR', /^Cannot open the log .* as it is a folder: name a file$/);
  refuses(
    path.join(folder, 'none', 'map.log'),
    'ENOENT',
    /its folder does not exist.*: make the folder first$/,
  );
  symlinkSync(path.join(folder, 'nothing'), path.join(folder, 'link'));
  refuses(path.join(folder, 'link'), 'ENOENT', /or a link leads nowhere/);
  assert.equal(existsSync(path.join(folder, 'nothing')), false);
  writeFileSync(file, '');
  refuses(path.join(file, 'map.log'), 'ENOTDIR', /what should be its folder is a file/);
  const fifo = path.join(folder, 'fifo');
  spawnSync('mkfifo', [fifo]);
  assert.throws(() => openLog(SESSION, fifo), /as it is no regular file: name a file/);
  if (process.getuid?.() === 0) return; // to whom nothing is forbidden
  chmodSync(file, 0o400);
  refuses(file, 'EACCES', /this user may not read and write there/);
});

test('all ways to a file lead to one name, and others to others', () => {
  const { name, path: real } = logPlace(file);
  assert.equal(real, file);
  mkdirSync(path.join(folder, 'sub'));
  symlinkSync(folder, path.join(folder, 'sub', 'up'));
  openLog().close();
  symlinkSync(file, path.join(folder, 'link'));
  for (const way of [
    path.relative(process.cwd(), file),
    path.join(folder, 'sub', '..', 'map.log'),
    path.join(folder, 'sub', 'up', 'map.log'),
    path.join(folder, 'link'),
  ])
    assert.deepEqual(logPlace(way), { name, path: real });
  openLog().compact([]);
  assert.equal(logPlace(file).name, name);
  assert.notEqual(logPlace(path.join(folder, 'other.log')).name, name);
  assert.notEqual(logPlace(path.join(folder, 'sub', 'map.log')).name, name);
});

test(
  'another session is refused while one has the log open, also by another name or after compact()',
  LIMIT,
  async () => {
    const writer = new Program<Act>(WRITER);
    writers.push(writer);
    await writer.call('open', file, 1);
    const refused = {
      name: 'NameInUseError',
      message: /another program that cannot share its memory has it open/,
    };
    assert.throws(() => openLog(2), refused);
    const link = path.join(folder, 'hard link');
    linkSync(file, link);
    assert.throws(() => openLog(2, link), refused);
    const log = openLog(1);
    await writer.kill();
    assert.throws(() => openLog(2), refused);
    log.compact([]);
    assert.throws(() => openLog(2), refused);
    log.close();
    openLog(2);
    assert.throws(() => openLog(1), refused);
  },
);
