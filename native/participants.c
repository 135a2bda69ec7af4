/*
 * How a thread comes to use the commons, and what is told of one that ended without giving its record back.
 *
 * V8 stops a Worker that is terminated between any two of its steps, but never inside a function of ours: so a record is either
 * untouched or filled in and known to the thread's environment, which tells of its end.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"

/* Gives the calling thread a record of its own; returns its index, and its tag. -ENOSPC: there is none left. */
int mh_join(uint32_t *tag) {
  struct mh_stat stat = {0};
  pid_t tid = (pid_t)syscall(SYS_gettid);
  mh_process_stat(tid, &stat);
  for (uint32_t i = 1; i < MH_MAX_PARTICIPANTS; i++) {
    struct mh_participant *p = mh_participant(i);
    if (mh_load(&p->pid) != 0 || !mh_swap_if(&p->pid, 0, (uint32_t)getpid())) continue;
    uint32_t *used = &mh_header()->participants_used, seen;
    while ((seen = mh_load(used)) <= i) mh_swap_if(used, seen, i + 1);
    memset(&p->start_low, 0, sizeof *p - offsetof(struct mh_participant, start_low));
    p->start_low = (uint32_t)stat.start;
    p->start_high = (uint32_t)(stat.start >> 32);
    p->tid = (uint32_t)tid;
    __atomic_fetch_add(&p->generation, 1, __ATOMIC_SEQ_CST);
    *tag = mh_tag(i);
    mh_store(&p->state, MH_PARTICIPANT_LIVE);
    return (int)i;
  }
  return -ENOSPC;
}

/*
 * The thread with this tag lives no more. False: it was known, or it has left in order. State and generation go in one step, as
 * others who learnt of it may have cleared its record since, and the next user have it.
 */
bool mh_mark_dead(uint32_t tag) {
  struct mh_participant *p = mh_participant(mh_tagged(tag));
  uint32_t generation = mh_load(&p->generation);
  if (mh_tag(mh_tagged(tag)) != tag) return false;
  uint64_t live = mh_two_words(MH_PARTICIPANT_LIVE, generation);
  return mh_swap_two_if(&p->state, live, mh_two_words(MH_PARTICIPANT_DEAD, generation));
}

/* The same, and all others are told. */
void mh_tell_death(uint32_t tag) {
  if (mh_mark_dead(tag)) mh_have_all_look();
}

/*
 * The thread with this tag has ended, while its process lives on: so do its daemons end; its other processes live on. Unless it has
 * left in order, all others are told.
 */
void mh_mourn(uint32_t tag) {
  bool untold = mh_mark_dead(tag);
  mh_end_daemons(tag);
  mh_watch_orphans();
  if (untold) mh_have_all_look();
}
