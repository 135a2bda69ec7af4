/*
 * Doorbells: waking a thread wherever it sleeps.
 *
 * Each participant has a pipe on its event loop. Whoever may open /proc/PID/fd of that process (any process of the
 * same user) can write to it; the descriptor is opened once and kept. A number in another process may come to mean
 * another file at any time, so an opened one counts only if it is the very pipe named in the participant's record.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core.h"

/* Write ends opened by this process, by participant. Above the limit, one is closed again after use. */
static struct {
  int fd; /* +1, so that zero means none */
  uint32_t generation;
} bells[MH_MAX_PARTICIPANTS];
static int open_bells;
static pthread_mutex_t bells_mutex = PTHREAD_MUTEX_INITIALIZER;
#define KEPT_BELLS 4096

int mh_pipe_inode(int fd, uint32_t *inode) {
  struct stat st;
  if (fstat(fd, &st) != 0) return -errno;
  if (!S_ISFIFO(st.st_mode)) return -EBADF;
  *inode = (uint32_t)st.st_ino;
  return 0;
}

static int open_bell(const struct mh_participant *p) {
  char path[48];
  snprintf(path, sizeof path, "/proc/%u/fd/%u", mh_load(&p->pid), mh_load(&p->doorbell_fd));
  int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  uint32_t inode = 0;
  if (mh_pipe_inode(fd, &inode) == 0 && inode == mh_load(&p->doorbell_inode)) return fd;
  close(fd);
  return -ESRCH;
}

/* The write end for participant `index`. `*keep`: should it, and does it, stay open? Under bells_mutex. */
static int find_bell(uint32_t index, bool *keep) {
  struct mh_participant *p = mh_participant(index);
  uint32_t generation = mh_load(&p->generation);
  if (bells[index].fd) {
    if (bells[index].generation == generation) {
      *keep = true;
      return bells[index].fd - 1;
    }
    close(bells[index].fd - 1);
    bells[index].fd = 0;
    open_bells--;
  }
  int fd = open_bell(p);
  if (fd == -EMFILE || fd == -ENFILE) {
    /* A wake-up must not fail for want of a descriptor: give up one that was kept for later. */
    for (uint32_t i = 1; i < MH_MAX_PARTICIPANTS && open_bells > 0; i++) {
      if (!bells[i].fd) continue;
      close(bells[i].fd - 1);
      bells[i].fd = 0;
      open_bells--;
      fd = open_bell(p);
      break;
    }
  }
  *keep = *keep && fd >= 0 && open_bells < KEPT_BELLS;
  if (*keep) {
    bells[index].fd = fd + 1;
    bells[index].generation = generation;
    open_bells++;
  }
  return fd;
}

/* Closes what is kept for a participant that is gone, also if another has its place by now. */
static void drop_bell(uint32_t index) {
  const struct mh_participant *p = mh_participant(index);
  pthread_mutex_lock(&bells_mutex);
  bool is_there = mh_load(&p->state) == MH_PARTICIPANT_LIVE && bells[index].generation == mh_load(&p->generation);
  if (bells[index].fd && !is_there) {
    close(bells[index].fd - 1);
    bells[index].fd = 0;
    open_bells--;
  }
  pthread_mutex_unlock(&bells_mutex);
}

/* Closes what is kept for all that are gone. */
void mh_drop_bells(void) {
  uint32_t used = mh_load(&mh_header()->participants_used);
  for (uint32_t i = 1; i < used && i < MH_MAX_PARTICIPANTS; i++)
    if (bells[i].fd) drop_bell(i);
}

static int strike(uint32_t index, bool keep) {
  pthread_mutex_lock(&bells_mutex);
  int fd = find_bell(index, &keep);
  int result = fd < 0 ? fd : 0;
  /* A full pipe (EAGAIN) is rung already; a broken one (EPIPE) belongs to a thread that is gone. */
  if (fd >= 0 && write(fd, "!", 1) < 0 && errno != EAGAIN) result = -errno;
  if (fd >= 0 && !keep) close(fd);
  pthread_mutex_unlock(&bells_mutex);
  return result;
}

/*
 * Wakes one thread. SYNC POINT: `signal` is raised before `sleeping` is read; a sleeper sets `sleeping` before it
 * compares `signal` (the futex does that in the kernel), so one of the two always sees the other.
 * `force`: strike even if a byte should be in the pipe already. Who set `rung` may have died before it wrote. Those who are
 * rung in this way may never be rung again, so their bells are not kept.
 */
static int ring(uint32_t index, uint32_t reasons, bool force) {
  struct mh_participant *p = mh_participant(index);
  if (mh_load(&p->state) != MH_PARTICIPANT_LIVE) {
    drop_bell(index);
    return -ESRCH;
  }
  __atomic_fetch_or(&p->reasons, reasons, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&p->signal, 1, __ATOMIC_SEQ_CST);
  if (mh_load(&p->sleeping)) mh_futex_wake(&p->signal, INT_MAX);
  for (;;) {
    uint32_t bell = mh_load(&p->doorbell_fd);
    if (__atomic_exchange_n(&p->rung, 1, __ATOMIC_SEQ_CST) != 0 && !force) return 0;
    int result = strike(index, !force);
    if (result >= 0) return result;
    mh_store(&p->rung, 0);
    /* Others may have relied on this byte. If it was in vain as there was no bell yet, they may have come when there was. */
    if (mh_load(&p->doorbell_fd) == bell) return result;
  }
}

int mh_ring(uint32_t participant, uint32_t reasons) { return ring(participant, reasons, false); }

void mh_ring_all(uint32_t reasons) {
  uint32_t used = mh_load(&mh_header()->participants_used);
  for (uint32_t i = 1; i < used && i < MH_MAX_PARTICIPANTS; i++) ring(i, reasons, true);
}
