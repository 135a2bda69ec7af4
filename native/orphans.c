/*
 * Orphans: processes that outlive who started them, and whose end nobody would tell. What is forked has the fork server and its
 * guardian to reap it. What is spawned has only the thread that spawned it: when that has ended, its process goes on
 * with an end to come that no event loop waits for; when the process has, somebody outside of the family reaps them.
 *
 * One thread a process, as long as there is something to watch, sleeps on the descriptors (pidfd) of all orphans there are,
 * whosoever they are: it writes down their end, buries them, and takes those that are this process's own off the process
 * table. In a spawned process it watches the parent too, and when that has ended, the program itself, of whose end nobody
 * tells either. To do any of this twice, in several processes at a time, does no harm, and must be done: who was first may
 * have ended over it, with the others that end. It watches guardians, too, that a thread has spawned: they outlive the thread.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core.h"

/* How often to look where the kernel has no pidfd (before Linux 5.3), or there are no more descriptors, ms. */
#define LOOK 50
#define MOST_WATCHED 1024
#define MOST_WARDS 64

static bool has_ended(pid_t pid) {
  struct mh_stat stat;
  int result = mh_process_stat(pid, &stat);
  return result == -ESRCH || (result == 0 && (stat.state == 'Z' || stat.state == 'X'));
}

/* Is the process of this record one whose end nobody would tell? Its pid, or 0. */
static pid_t orphan(const struct mh_process *p) {
  uint32_t state = mh_process_state(p), owner = mh_load(&p->owner), pid = mh_load(&p->pid);
  if ((state != MH_PROCESS_RUNNING && state != MH_PROCESS_ENDING) || owner == 0 || pid == 0 || (pid_t)pid == getpid()) return 0;
  if (mh_lives(owner)) return 0;
  if (!(p->flags & MH_PROCESS_SPAWNED) && !has_ended((pid_t)mh_load(&p->guardian))) return 0;
  return (pid_t)pid;
}

static void end_orphan(struct mh_process *p, pid_t pid) {
  waitpid(pid, NULL, WNOHANG); /* if it is a child of this process */
  mh_tell_end(pid);
  /* Last: whoever finds it running tells all again, as who told before may have been killed over it. */
  if (!mh_move(p, MH_PROCESS_RUNNING, MH_PROCESS_EXITED)) mh_move(p, MH_PROCESS_ENDING, MH_PROCESS_EXITED);
}

/*
 * Where a guardian and its server were both killed, nobody may have told of those that were no process of the family yet, as those of the
 * reserve.
 */
static void bury_ghosts(void) {
  uint32_t used = mh_load(&mh_header()->participants_used);
  for (uint32_t i = 1; i < used && i < MH_MAX_PARTICIPANTS; i++) {
    const struct mh_participant *p = mh_participant(i);
    pid_t pid = (pid_t)mh_load(&p->pid);
    if (mh_load(&p->state) == MH_PARTICIPANT_LIVE && pid != 0 && pid != getpid() && has_ended(pid)) mh_bury(pid);
  }
}

/* Does what is to be done about orphans that have ended. Their number that live; `pids`, if any: the first `room` of them. */
static uint32_t look_after(pid_t *pids, uint32_t room) {
  uint32_t left = 0, used = mh_load(&mh_header()->processes_used);
  for (uint32_t i = 0; i < used; i++) {
    struct mh_process *p = mh_process(i);
    pid_t pid = orphan(p);
    if (pid == 0) continue;
    if (has_ended(pid)) {
      end_orphan(p, pid);
      continue;
    }
    if (left < room) pids[left] = pid;
    left++;
  }
  if (mh_load(&mh_header()->guardian_deaths) > 0) bury_ghosts();
  return left;
}

uint32_t mh_look_after_orphans(void) { return look_after(NULL, 0); }

/* Children of this process that are no process of the family, each with the tag of the thread whose event loop is to reap it. */
static struct {
  pid_t pid;
  uint32_t tag;
} wards[MOST_WARDS];

/* Buries those that have ended, and takes them off the process table if nobody else will. Adds those that live to `pids`. */
static uint32_t look_after_wards(pid_t *pids, uint32_t count, uint32_t room) {
  for (uint32_t i = 0; i < MOST_WARDS; i++) {
    pid_t pid = __atomic_load_n(&wards[i].pid, __ATOMIC_SEQ_CST);
    if (pid == 0) continue;
    if (!has_ended(pid)) {
      if (count < room) pids[count++] = pid;
      continue;
    }
    mh_bury(pid);
    if (!mh_lives(wards[i].tag)) waitpid(pid, NULL, WNOHANG);
    __atomic_store_n(&wards[i].pid, 0, __ATOMIC_SEQ_CST);
  }
  return count;
}

static struct {
  pthread_mutex_t mutex;
  pid_t process; /* in which the watch runs; not the parent's, in a fork */
  int wake;      /* eventfd: there is more to watch */
  pid_t parent;  /* to watch too, or the program itself when that has ended; 0: none */
} watch = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Sleeps until one of these, or the parent, may have ended. */
static void sleep_on(const pid_t *pids, uint32_t count, pid_t parent) {
  struct pollfd *p = calloc((size_t)count + 2, sizeof *p);
  int timeout = -1;
  if (!p) {
    poll(NULL, 0, LOOK);
    return;
  }
  p[0] = (struct pollfd){watch.wake, POLLIN, 0};
  for (uint32_t i = 0; i <= count; i++) {
    pid_t pid = i < count ? pids[i] : parent;
    p[i + 1] = (struct pollfd){-1, POLLIN, 0};
    if (pid == 0) continue;
    p[i + 1].fd = mh_open_process(pid);
    if (p[i + 1].fd < 0) timeout = p[i + 1].fd == -ESRCH ? 0 : LOOK;
    if (timeout == 0) break;
  }
  poll(p, (nfds_t)count + 2, timeout);
  for (uint32_t i = 1; i <= count + 1; i++)
    if (p[i].fd > 0) close(p[i].fd);
  free(p);
}

static void *run(void *nothing) {
  static pid_t pids[MOST_WATCHED];
  (void)nothing;
  prctl(PR_SET_NAME, "mh-orphans");
  for (;;) {
    uint64_t rings;
    if (read(watch.wake, &rings, sizeof rings) < 0) rings = 0;
    while (watch.parent != 0 && has_ended(watch.parent)) {
      pid_t root = (pid_t)mh_load(&mh_header()->root);
      mh_tell_end(watch.parent);
      watch.parent = watch.parent == root ? 0 : root;
    }
    uint32_t left = look_after(pids, MOST_WATCHED);
    if (left > MOST_WATCHED) left = MOST_WATCHED;
    left = look_after_wards(pids, left, MOST_WATCHED);
    if (left == 0 && watch.parent == 0) {
      pthread_mutex_lock(&watch.mutex);
      bool over = read(watch.wake, &rings, sizeof rings) < 0;
      if (over) {
        close(watch.wake);
        watch.process = 0;
      }
      pthread_mutex_unlock(&watch.mutex);
      if (over) return NULL;
      continue;
    }
    sleep_on(pids, left, watch.parent);
  }
}

/* Has the watch look anew, or begin. */
static int begin_watch(pid_t parent) {
  static const uint64_t one = 1;
  int error = 0;
  pthread_mutex_lock(&watch.mutex);
  if (watch.process == getpid()) {
    if (write(watch.wake, &one, sizeof one) < 0) error = -errno;
  } else {
    watch.wake = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    watch.parent = parent;
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for Node's threads */
    error = watch.wake < 0 ? -errno : -pthread_create(&thread, &attributes, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error == 0)
      watch.process = getpid();
    else if (watch.wake >= 0)
      close(watch.wake);
  }
  pthread_mutex_unlock(&watch.mutex);
  return error;
}

/* Watches over the orphans there are, if any. */
void mh_watch_orphans(void) {
  if (mh_look_after_orphans() > 0) begin_watch(0);
}

/* In a process forked from this one: the watch is not there, and may have been at work. */
void mh_forget_watch(void) {
  pthread_mutex_init(&watch.mutex, NULL);
  watch.process = 0;
  for (uint32_t i = 0; i < MOST_WARDS; i++) wards[i].pid = 0;
}

/* Watches over a child that the thread of this tag has spawned, and is to reap as long as it lives itself. */
int mh_watch_child(pid_t pid, uint32_t tag) {
  pthread_mutex_lock(&watch.mutex);
  uint32_t i = 0;
  while (i < MOST_WARDS && wards[i].pid != 0) i++;
  if (i < MOST_WARDS) {
    wards[i].tag = tag;
    __atomic_store_n(&wards[i].pid, pid, __ATOMIC_SEQ_CST);
  }
  pthread_mutex_unlock(&watch.mutex);
  return i < MOST_WARDS ? begin_watch(0) : -ENOSPC;
}

/* In a spawned process: watches its parent too. */
int mh_watch_parent(pid_t parent) { return begin_watch(parent); }
