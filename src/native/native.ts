import { loadAddon } from './load.js';

/** Where things stand in the commons: native/layout.h, as numbers of bytes. */
export interface Layout {
  readonly pageBytes: number;
  readonly lowBytes: number;
  readonly maxParticipants: number;
  readonly maxProcesses: number;
  readonly maxBuckets: number;
  /** What serve() returns in children that have no record yet. */
  readonly rehearsal: number;
  readonly reserve: number;
  readonly participantsOffset: number;
  readonly participantBytes: number;
  readonly processesOffset: number;
  readonly processBytes: number;
  readonly bucketsOffset: number;
  readonly pagesOffset: number;
  readonly pageRecordBytes: number;
  readonly allocatorOffset: number;
  readonly waitingOffset: number;
  readonly syncOffset: number;
  readonly authkeyOffset: number;
}

/**
 * The system calls. Words of shared memory are named by their index (offset / 4), times are milliseconds (negative:
 * for ever). What fails throws an Error with `code` ('EMFILE') and `errno` (−24).
 */
export interface Native {
  readonly layout: Layout;

  /** Makes a memory file with its header filled in; its descriptor. */
  arenaCreate(bytes: number): number;
  /** Maps it for the whole process: 0, or 1 when this process had an arena already (then nothing changes). */
  arenaMap(fd: number, bytes: number): 0 | 1;
  arenaView(offset: number, bytes: number): ArrayBuffer;
  /** Gives whole pages back to the kernel: they read as zero from now on. */
  arenaPunch(offset: number, bytes: number): void;
  /** Bytes that the kernel holds for the arena now. */
  arenaResident(): number;
  /** −1: nothing is mapped yet. */
  arenaFd(): number;
  arenaBytes(): number;

  /**
   * Makes this thread a participant; the number of its record, negative: there is none left. When a Worker's environment
   * ends, however that comes about, and it has not given its record back, all others are told that it is dead.
   */
  join(): number;
  /**
   * Sleeps while the word holds `expected`. 0: woken, or for no reason (a Worker every 250 ms, so that it can be
   * terminated); 1: it had changed; 2: time ran out.
   */
  futexWait(word: number, expected: number, timeout: number): 0 | 1 | 2;
  /** How many were woken. */
  futexWake(word: number, count: number): number;
  /** Wakes a participant wherever it sleeps. Negative: it is gone. */
  ring(participant: number, reasons: number): number;
  ringAll(reasons: number): void;
  /** The thread with this tag has ended without saying so: all others are told. */
  tellDeath(tag: number): void;
  /** Closes what this process keeps for ringing participants that are gone. */
  dropBells(): void;
  /** Opens this thread's doorbell: `listener` runs on its event loop at each ring. It does not keep the loop alive. */
  bellOpen(participant: number, listener: () => void): void;
  bellClose(): void;
  /** Does the doorbell keep the event loop alive? */
  bellHold(hold: 0 | 1): void;

  /**
   * The fork server's loop. Returns in each child: the number of its process record, or `layout.reserve` in one that is
   * to make itself ready and then to call takeRecord(), or, first of all, `layout.rehearsal` in one that is to live to
   * no purpose and to end with tellPages(). `counted`: is this Node 20?
   */
  serve(requests: number, lifeline: number, rootPid: number, counted: 0 | 1): number;
  /**
   * fork(2) of this process, on its main thread: 0 in the child, whose event loop works; the child's pid in the parent.
   * `counted`: as for serve().
   */
  fork(counted: 0 | 1): number;
  /** Can a child of fork() leave the code that its parent was in the midst of, by leave()? */
  canLeave(): boolean;
  /**
   * In such a child: has all code that runs end, without `catch` or `finally`, at the next beginning of a loop or function. Then
   * calls `listener` from the event loop. All that the event loop had to do is dropped, but for handles of these descriptors.
   */
  leave(listener: () => void, kept: readonly number[]): void;
  /** Ends the code that runs next in the same way. */
  terminate(): void;
  /** After leave(): runs all timers and immediates, due or not. */
  runAll(): void;
  /** Runs the event loop from here on, and never returns. */
  runLoop(): never;
  /** Waits for the number of this process's record. */
  takeRecord(): number;
  /** Tells the server what pages this process came to have, for later ones to have them at once. */
  tellPages(): number;
  /** Asks the fork server to start process record `process`, with these as its stdout and stderr. */
  request(client: number, process: number, stdout?: number, stderr?: number): void;
  socketPair(): [number, number];
  pipe(): [number, number];
  close(fd: number): void;
  setCloexec(fd: number): void;
  /** Makes `to` a name of what `from` names. */
  duplicate(from: number, to: number): void;
  /** What follows from the end of a process that this one has reaped. */
  bury(pid: number): void;
  /** Has the end told, and if need be the zombie reaped, of a child that the thread with this tag has spawned and may not outlive. */
  watchChild(pid: number, tag: number): void;
  /** In a process that was spawned: has the end of its parent told, and of others that outlive it, on a thread of its own. */
  watchParent(pid: number): void;
  /** Is nobody left at the other end of this socket or pipe? */
  isHungUp(fd: number): 0 | 1;
  /** Undefined: there is no such process. The start time is in clock ticks since boot; the wait status is that of a zombie. */
  processStat(
    pid: number,
  ):
    | [letter: string, parent: number, start: number, nice: number, threads: number, status: number]
    | undefined;
  /** CPU time of a process, all its threads together, those that have ended too, ms. ESRCH: there is no such process. */
  cpuTime(pid: number): number;
  /** The kernel's id of the calling thread. */
  threadId(): number;
  /** pid 0: the calling thread. */
  setAffinity(pid: number, cpus: readonly number[]): void;
  getAffinity(pid: number): number[];
  /** Has the kernel kill this process once the thread that spawned it ends; at once, if process `parent` has ended already. */
  endWithParent(parent: number): void;
  /**
   * In process record `process`, on its main thread: has V8 tell the record if the heap grows too large; beyond `bytes`, if that is
   * not 0. ENOSYS: this Node does not let us.
   */
  limitHeap(process: number, bytes: number): void;
  /** The same for CPU time, in ms from now on: SIGXCPU at the limit, SIGKILL a second of CPU time later. */
  limitCpu(process: number, ms: number): void;
  /** Blocks until child `pid` has ended: its raw wait status, or −1 when `timeout` has passed. Reaps it only if asked. */
  awaitExit(pid: number, timeout: number, reap: 0 | 1): number;
  /** Some child of this process that has ended and has not been waited for, whoever made it; 0: there is none now. */
  endedChild(): number;
  /** Blocks until one of these processes has ended, `timeout` ms at most, perhaps for less. */
  awaitAny(pids: Int32Array, timeout: number): void;
  /** Calls `listener` when a child of this process may have ended. It does not keep the event loop alive. A second call does nothing. */
  onChild(listener: () => void): void;
  /** Does that keep the event loop alive? */
  holdChildren(hold: 0 | 1): void;
  /** Calls `listener` with its pid once this process has ended, whoever waits for it. 0: there is none. Needs Linux 5.3. */
  watchProcess(pid: number, listener: (pid: number) => void): 0 | 1;
  /** Stops watching all of them. */
  dropWatches(): void;
  /** Replaces this process's program by another. `environment`: NAME=value. Descriptors below `fds` stay open, others as they are marked. */
  execute(program: string, args: readonly string[], environment: readonly string[], fds: number): never;
  /** The descriptor by which this process (all its threads) asks its fork server; −1: none. What is given takes its place. */
  client(fd?: number): number;
  /** When the event loop has nothing left to do, calls `listener` with 0, and if there is still nothing, with 1. */
  onLoopEnd(listener: (final: 0 | 1) => void): void;
  /** A random whole number below 2⁵², from the kernel. */
  randomBits(): number;
  /** This process's id, from the kernel. */
  processId(): number;
  /** Writes all of it, however long its reader takes; also where the descriptor is set not to block. */
  writeAll(fd: number, bytes: Uint8Array): void;
  /** Ends the process at once. */
  exit(status: number): never;

  /**
   * Opens a file; its descriptor. It is closed with closeGuarded(), or when this thread ends, however it ends: so are
   * those of memoryCreate() and nameBind().
   */
  openGuarded(path: string, flags: number): number;
  closeGuarded(fd: number): void;
  /**
   * Marks this open file as one of a session, a number from 1 to 2³² − 1, until it is closed. 1: it is open in another session,
   * also if that comes at the same moment, and the mark was not made.
   */
  fileJoin(fd: number, session: number): 0 | 1;
  /** Makes a memory file of zeros with a name for people to read. Its size is final. */
  memoryCreate(name: string, bytes: number): number;
  /**
   * Maps it, or `bytes` of it from `offset` on, a multiple of the kernel's page size, for this thread, until the buffer is
   * collected. EINVAL: it is not such a file of that size.
   */
  memoryMap(fd: number, size: number, offset?: number, bytes?: number): ArrayBuffer;
  /** Gives a part of it back to the kernel: it reads as zero from now on. */
  memoryPunch(fd: number, offset: number, bytes: number): void;
  /** Takes a name among all programs (an abstract socket): it is held by the descriptor. EADDRINUSE: it is taken. */
  nameBind(name: string): number;
  /** Who holds it? Undefined: nobody, or it could not be learned now. */
  nameHolder(name: string): [pid: number, uid: number] | undefined;
  /**
   * Makes a block of zeros under a name in /dev/shm, and maps it; its inode proves later which block that name means. It is removed
   * at the end of the family. To be called by a participant. EEXIST: the name is taken; ENOSPC: there is no room.
   */
  segmentCreate(name: string, bytes: number): [buffer: ArrayBuffer, inode: number];
  /** Maps the block of a name. ENOENT: there is none; ENODATA: it has no bytes (yet); EFBIG: it has more than `most`. */
  segmentOpen(name: string, most: number): [buffer: ArrayBuffer, inode: number];
  /** Unmaps what one of these two gave: the buffer is detached. */
  segmentClose(buffer: ArrayBuffer): void;
  /** Removes the name. ENOENT: there is none, or it means another block by now. */
  segmentRemove(name: string, inode: number): void;
  /** As futexWait() and futexWake(), for a word of memory from memoryMap(). */
  futexWaitIn(words: Int32Array, index: number, expected: number, timeout: number): 0 | 1 | 2;
  futexWakeIn(words: Int32Array, index: number, count: number): number;

  /**
   * Sockets: bytes as `address` are the path of a Unix socket, or an abstract name after a 0; a string is an IP address. What
   * returns a number returns −errno when it fails. `wanted` and what the listener is told: 1 readable, 2 writable.
   */
  socketListen(address: Uint8Array | string, port: number, backlog: number): number;
  /** It is connected once it is writable and socketCheck() does not throw. EAGAIN: the backlog of a Unix socket is full. */
  socketConnect(address: Uint8Array | string, port: number): number;
  socketCheck(fd: number): void;
  socketAccept(fd: number): number;
  /** Its own address, or its peer's. Undefined: it is a Unix socket, or not connected any more. */
  socketAddress(fd: number, peer: 0 | 1): [host: string, port: number] | undefined;
  socketSend(fd: number, bytes: Uint8Array, from: number, to: number): number;
  /** 0: no more will come. */
  socketReceive(fd: number, bytes: Uint8Array, from: number, to: number): number;
  /**
   * Blocks until it is as wanted, or this thread's doorbell rings (4), which the event loop does not hear of then. 0: time ran
   * out, or it woke for no reason.
   */
  socketAwait(fd: number, wanted: number, timeout: number): number;
  /** Has `listener` called on the event loop when it is as wanted: nothing at first. 8: it must be asked again. The thread's end closes it, if nobody has before. */
  socketWatch(fd: number, listener: (is: number) => void): void;
  /** `hold`: does that keep the event loop alive? */
  socketWant(fd: number, wanted: number, hold: 0 | 1): void;
  socketClose(fd: number): void;
}

/** The addon. Where it cannot be had, importing this is fine and using it throws UnsupportedPlatformError. */
export const native: Native = load();

function load(): Native {
  try {
    return loadAddon() as Native;
  } catch (error) {
    const refuse = () => {
      throw error;
    };
    // Any numbers do: they are reckoned with at import, and then nothing can be mapped by them.
    const layout = new Proxy({} as Layout, { get: () => 16_384 });
    return new Proxy({ layout } as Native, {
      get: (target, name) => (name === 'layout' ? target.layout : refuse),
    });
  }
}
