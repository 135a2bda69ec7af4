/* Blocking waits on a word of shared memory. */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core.h"

/* glibc and musl give no function for it. Not the PRIVATE kind: the words lie between processes. */
static long futex(uint32_t *word, int op, uint32_t value, const struct timespec *time, uint32_t bits) {
  return syscall(SYS_futex, word, op, value, time, NULL, bits);
}

/* Sleeps while *word == expected. 0: woken (or for no reason); -EAGAIN: it had changed; -ETIMEDOUT. */
int mh_futex_wait(uint32_t *word, uint32_t expected, double timeout) {
  struct timespec deadline, *limit = NULL;
  if (timeout >= 0 && timeout < 1e15) {
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += (time_t)(timeout / 1e3);
    deadline.tv_nsec += (long)((timeout - (double)(time_t)(timeout / 1e3) * 1e3) * 1e6);
    if (deadline.tv_nsec >= 1000000000) {
      deadline.tv_sec += 1;
      deadline.tv_nsec -= 1000000000;
    }
    limit = &deadline;
  }
  /* WAIT_BITSET takes an absolute time, so a signal in between does not prolong the wait. */
  while (futex(word, FUTEX_WAIT_BITSET, expected, limit, FUTEX_BITSET_MATCH_ANY) != 0) {
    if (errno != EINTR) return -errno;
  }
  return 0;
}

/* Returns how many were woken. */
int mh_futex_wake(uint32_t *word, int count) {
  long woken = futex(word, FUTEX_WAKE, (uint32_t)count, NULL, 0);
  return woken < 0 ? -errno : (int)woken;
}
