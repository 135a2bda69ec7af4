/*
 * Where things stand in the commons, for C and TypeScript alike: the binding hands these numbers to
 * src/memory/layout.ts, so that they are written once.
 *
 *   offset 0        header            one page
 *                   participants      one record a thread that is attached
 *                   processes         one record a process that was started
 *                   buckets           heads of the wait queues (src/wait)
 *                   pages             one record a page: what starts there, whose it is (src/memory/pages.ts)
 *                   first page        lists that the allocator keeps
 *                   low pages         small blocks: all that must be reached by one 1 GiB view
 *   1 GiB           high pages        large blocks
 *
 * Every record is made of 32-bit words. All of it is zero at birth, so zero must mean "free" everywhere.
 */
#ifndef MANYHANDS_LAYOUT_H
#define MANYHANDS_LAYOUT_H

#include <stdint.h>

#define MH_MAGIC 0x6d68616eu
#define MH_PAGE_BYTES 16384u
#define MH_LOW_BYTES (1u << 30)

#define MH_MAX_PARTICIPANTS 16384u
#define MH_MAX_PROCESSES 16384u
#define MH_MAX_BUCKETS 4096u
#define MH_PAGE_RECORD_BYTES 16u

#define MH_PARTICIPANTS_OFFSET MH_PAGE_BYTES
#define MH_PROCESSES_OFFSET (MH_PARTICIPANTS_OFFSET + MH_MAX_PARTICIPANTS * (uint32_t)sizeof(struct mh_participant))
#define MH_BUCKETS_OFFSET (MH_PROCESSES_OFFSET + MH_MAX_PROCESSES * (uint32_t)sizeof(struct mh_process))
#define MH_PAGES_OFFSET (MH_BUCKETS_OFFSET + MH_MAX_BUCKETS * 16u)

/* The first page. */
struct mh_header {
  uint32_t magic;
  uint32_t pages;             /* pages of the whole arena */
  uint32_t first_page;        /* the first that is not taken by the tables above */
  uint32_t participants_used; /* high-water mark: records from here on were never used */
  uint32_t processes_used;    /* the same for processes */
  uint32_t server_epoch;      /* +1 each time the guardian had to make a new fork server */
  uint32_t deaths;            /* +1 whenever somebody may have died with things in hand */
  uint32_t server_births;     /* +1 for each server that came to serve */
  uint32_t guardian_deaths;   /* +1 for each guardian that its server found gone */
  uint32_t server_pairs;      /* +1 for each pair of guardian and server that was begun */
  uint32_t allocator[32];     /* belongs to src/memory */
  uint32_t waiting[32];       /* belongs to src/wait */
  uint32_t sync[32];          /* belongs to src/sync */
  uint32_t authkey[8];        /* the program's key; 0: that word has not been drawn yet */
  uint32_t root;              /* pid of the program itself */
  _Alignas(8) uint32_t janitor; /* its pid; set together with the next one */
  uint32_t janitor_inode;     /* low word of the inode of its door, a pipe: proves that the pid still means it */
};

enum mh_participant_state {
  MH_PARTICIPANT_FREE = 0, /* or being filled in, where `pid` is set */
  MH_PARTICIPANT_LIVE = 1,
  MH_PARTICIPANT_DEAD = 2, /* ended with things in hand: to be swept by whoever sees it */
  MH_PARTICIPANT_LEFT = 3, /* has given back all it had, and its process is about to end */
};

/* A thread (with an event loop of its own) that uses the commons. Index 0 is never used: 0 means nobody. */
struct mh_participant {
  uint32_t state;
  uint32_t generation; /* after `state`, as mh_mark_dead() takes both at once; +1 each time the record is filled in: tells its users apart */
  uint32_t pid; /* the record is claimed by setting it from 0, and given back by setting it to 0, last */
  uint32_t start_low; /* kernel start time of the thread in clock ticks: tells recycled ids apart */
  uint32_t start_high;
  uint32_t tid;            /* kernel thread id */
  uint32_t doorbell_fd;    /* write end of its doorbell pipe, as numbered in that process; 0: none yet */
  uint32_t doorbell_inode; /* low word of that pipe's inode: proves that the number still means that pipe */
  uint32_t rung;           /* 1: a byte is in the pipe already */
  uint32_t signal;         /* +1 at each ring; the word it sleeps on in blocking waits */
  uint32_t sleeping;       /* 1: it is, or is about to be, asleep on `signal` */
  uint32_t reasons;        /* bits: why it was rung */
  uint32_t process;        /* record of its process, +1; 0: the root */
  uint32_t ready;          /* belongs to src/wait */
  uint32_t nodes;          /* belongs to src/wait */
  uint32_t kin;            /* of one that was forked from another: tag of who looks after it, as nobody else may; else 0 */
  uint32_t who[16];        /* belongs to src/process */
};

enum mh_reason {
  MH_REASON_WAKE = 1,    /* a wait of yours is over */
  MH_REASON_CHILD = 2,   /* a process that you started changed its state */
  MH_REASON_DEATH = 4,   /* somebody died: look over all that you wait for */
  MH_REASON_CHANNEL = 8, /* a channel or pool of yours has something */
};

enum mh_process_state {
  MH_PROCESS_FREE = 0,
  MH_PROCESS_CLAIMED = 1,   /* being filled in by its starter */
  MH_PROCESS_REQUESTED = 2, /* the fork server is asked to start it */
  MH_PROCESS_FORKING = 3,   /* a fork server took the request */
  MH_PROCESS_RUNNING = 4,
  MH_PROCESS_EXITED = 5,    /* `status` is what waitpid told */
  MH_PROCESS_FAILED = 6,    /* it could not be started; `status` is the errno */
  MH_PROCESS_CANCELLED = 7, /* its starter gave up before it ran */
  MH_PROCESS_ENDING = 8,    /* it has ended, `status` tells how, and it is about to leave the process table */
};

enum mh_process_flag {
  MH_PROCESS_DAEMON = 1,
  MH_PROCESS_SPAWNED = 2, /* by its starter itself, not by the fork server */
  MH_PROCESS_OUT_OF_HEAP = 4, /* it tells so itself, and is about to end */
  MH_PROCESS_OUT_OF_TIME = 8, /* the same of its CPU time */
};

/* A process that was started by one of the family. */
struct mh_process {
  uint32_t state; /* low 8 bits: one of the above; the rest: which attempt to fork it this is, never the same twice */
  uint32_t pid; /* a forked child sets both of these in one step: 0 until it runs */
  uint32_t generation;
  uint32_t status;
  uint32_t owner; /* tag of the participant that started it (mh_tag); claimed by setting it, given back by 0, last */
  uint32_t flags;
  uint32_t payload; /* handle of the block that says what to run */
  uint32_t result;  /* handle of the block with what it returned or threw */
  uint32_t outcome; /* 0 none, 1 returned, 2 threw */
  uint32_t guardian; /* pid of who reaps it, should its fork server die first */
  uint32_t spare[22];
};

#endif
