import { type Acts, answerCalls } from '../../testing/programs.js';
import { MapCommit } from '../map-commit.js';
import { LOG_START, logPlace, MapLog } from '../map-log.js';

/* A program that writes into logs, and may be killed over it. */
const open: MapLog[] = [];

const acts = {
  /** Appends commits of two entries, one as long as the other, for ever. Tells when some are written. */
  flood(file: string, session: number, bytes: number): never {
    const log = MapLog.open(logPlace(file), session);
    const commit = new MapCommit();
    const key = Buffer.from('key');
    const value = Buffer.alloc(bytes);
    const found = log.replay(LOG_START, {
      set: () => {},
      delete: () => {},
      clear: () => {},
      committed: () => {},
    });
    log.cut(found);
    for (let end = found.end, round = 0; ; round++) {
      commit.reset();
      value.fill(round);
      commit.set(key, value);
      commit.set(key, value);
      end = log.append(commit, end);
      if (round === 2) process.send?.('flooding');
    }
  },
  /** Opens the log, to keep it open. */
  open(file: string, session: number): void {
    open.push(MapLog.open(logPlace(file), session));
  },
} satisfies Acts;

export type Act = keyof typeof acts;

answerCalls(acts);
