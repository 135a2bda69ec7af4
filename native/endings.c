/*
 * What is written down when a process ends, and what follows from it. Who reaps it writes: the fork server, its guardian,
 * or a process that spawned it.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>

#include "core.h"

static void announce(const struct mh_process *p) {
  uint32_t owner = mh_load(&p->owner);
  if (owner != 0 && mh_tag(mh_tagged(owner)) == owner) mh_ring(mh_tagged(owner), MH_REASON_CHILD);
}

/* Kills the processes that end with the thread of this tag. */
void mh_end_daemons(uint32_t tag) {
  uint32_t used = mh_load(&mh_header()->processes_used);
  for (uint32_t i = 0; i < used; i++) {
    const struct mh_process *p = mh_process(i);
    uint32_t told = mh_load(&p->pid);
    if (mh_process_state(p) == MH_PROCESS_RUNNING && mh_load(&p->owner) == tag && (p->flags & MH_PROCESS_DAEMON) &&
        told != 0)
      kill((pid_t)told, SIGKILL);
  }
}

/* Has all who wait for something look whether it can still come. */
void mh_have_all_look(void) {
  __atomic_fetch_add(&mh_header()->deaths, 1, __ATOMIC_SEQ_CST);
  mh_ring_all(MH_REASON_DEATH);
}

/* Marks the threads of `pid` as dead, and ends what is to end with them. Had any things in hand? */
static bool mark_dead(pid_t pid) {
  uint32_t participants = mh_load(&mh_header()->participants_used);
  bool died = false;
  for (uint32_t i = 1; i < participants && i < MH_MAX_PARTICIPANTS; i++) {
    struct mh_participant *dead = mh_participant(i);
    uint32_t tag = mh_tag(i);
    if (mh_load(&dead->pid) != (uint32_t)pid) continue;
    /* SYNC POINT with mh_orphaned(): first its death, then the children that have told their pid; the others see it. */
    died |= mh_mark_dead(tag);
    mh_end_daemons(tag); /* also of one that is DEAD, in case that who marked it died over it */
    uint32_t state = mh_load(&dead->state);
    if (state == MH_PARTICIPANT_DEAD || state == MH_PARTICIPANT_LIVE) continue; /* a LIVE one is the next already */
    /* It never came to anything, or left in order. Others may be freeing it too, and the next have it already. */
    mh_swap_if(&dead->state, MH_PARTICIPANT_LEFT, MH_PARTICIPANT_FREE);
    mh_swap_if(&dead->pid, (uint32_t)pid, 0);
  }
  return died;
}

/*
 * What follows from the end of process `pid`, from however it ended and whoever reaped it: its threads are dead,
 * its daemons end with it, and all who wait for something of it must look again.
 */
void mh_bury(pid_t pid) {
  if (mark_dead(pid)) mh_have_all_look();
}

/*
 * The same by one that may not be the first to learn of it, and lives on: who learnt of it before may have been killed by it,
 * or with it, before all were told.
 */
void mh_tell_end(pid_t pid) {
  mark_dead(pid);
  mh_have_all_look();
}

/* Is it to end with its starter, and that is gone? A child asks, once it has told its pid. */
bool mh_orphaned(const struct mh_process *p) {
  return (p->flags & MH_PROCESS_DAEMON) && !mh_lives(mh_load(&p->owner));
}

/* What this server forked for each record. Its child says so itself, in the record, as its first act. */
struct mh_birth mh_births[MH_MAX_PROCESSES];

/* Does the end of `pid` end what record `i` stands for? */
static bool ends(pid_t pid, uint32_t i) {
  const struct mh_process *p = mh_process(i);
  const struct mh_birth *birth = &mh_births[i];
  uint32_t word = mh_load(&p->state), state = MH_STATE(word), told = mh_load(&p->pid);
  if (state != MH_PROCESS_RUNNING && state != MH_PROCESS_FORKING && state != MH_PROCESS_ENDING) return false;
  if (told != 0) return told == (uint32_t)pid; /* also one that was spawned, by one of ours that ended before it */
  return birth->pid == pid && birth->attempt == MH_ATTEMPT(word);
}

/* Writes down how `pid` has ended. Returns the number of its record, or -1 when it is in none. */
static int64_t record_end(pid_t pid, int status) {
  uint32_t used = mh_load(&mh_header()->processes_used);
  for (uint32_t i = 0; i < used; i++) {
    struct mh_process *p = mh_process(i);
    if (!ends(pid, i)) continue;
    p->status = (uint32_t)status;
    if (mh_move(p, MH_PROCESS_RUNNING, MH_PROCESS_ENDING) ||
        mh_move_with_pid(p, mh_births[i].attempt, MH_PROCESS_FORKING, MH_PROCESS_ENDING, pid) ||
        mh_process_state(p) == MH_PROCESS_ENDING)
      return i;
  }
  return -1;
}

/* The process of this record has left the process table: tells who waits for it. */
static void finish_ending(struct mh_process *p) {
  if (!mh_move(p, MH_PROCESS_ENDING, MH_PROCESS_EXITED)) return;
  mh_futex_wake(&p->state, INT_MAX);
  announce(p);
}

/* Does that for what a reaper who has died had begun. */
void mh_finish_endings(void) {
  uint32_t used = mh_load(&mh_header()->processes_used);
  for (uint32_t i = 0; i < used; i++) finish_ending(mh_process(i));
}

/*
 * Takes one ended child off the process table, once its end is written down: should we die in between, the next reaper finds
 * it again. `wait`: sleeps until there is one. `known`: it was in a record. Returns its pid; 0: there is none yet; -ECHILD:
 * there are no children.
 */
pid_t mh_reap(bool wait, int *status, bool *known) {
  siginfo_t info = {0};
  while (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | (wait ? 0 : WNOHANG)) < 0) {
    if (errno != EINTR) return -errno;
  }
  if (info.si_pid == 0) return 0;
  *status = mh_wait_status(&info);
  int64_t record = record_end(info.si_pid, *status);
  *known = record >= 0;
  mh_bury(info.si_pid);
  waitpid(info.si_pid, NULL, 0);
  if (record >= 0) {
    mh_births[record].pid = 0;
    finish_ending(mh_process((uint32_t)record));
  }
  return info.si_pid;
}
