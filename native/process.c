/* What the kernel knows about a process, and what must be told to it before a fork. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef MADV_DOFORK
#define MADV_DOFORK 11
#endif

/* Reads /proc/PID/stat. -ESRCH when there is no such process. */
int mh_process_stat(pid_t pid, struct mh_stat *out) {
  char path[32], line[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? -ESRCH : -errno;
  ssize_t length = read(fd, line, sizeof line - 1);
  int err = errno;
  close(fd);
  if (length <= 0) return length == 0 ? -ESRCH : -err;
  line[length] = '\0';
  char *rest = strrchr(line, ')'); /* the name may hold anything, a ')' too */
  if (!rest) return -EIO;
  int parent;
  unsigned long long start;
  int fields = sscanf(rest + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %ld %ld %*d %llu",
                      &out->state, &parent, &out->nice, &out->threads, &start);
  if (fields != 5) return -EIO;
  out->parent = parent;
  out->start = start;
  out->status = atoi(strrchr(rest, ' ') + 1); /* the last field */
  return 0;
}

/* CPU time of a process, all its threads together, those that have ended too, in nanoseconds. */
int64_t mh_cpu_time(pid_t pid) {
  clockid_t clock;
  struct timespec time;
  int error = clock_getcpuclockid(pid, &clock);
  if (error != 0) return -error;
  if (clock_gettime(clock, &time) != 0) return -errno;
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Has the kernel kill this process when the thread that spawned it ends; now, if its parent is not `parent` any more. */
int mh_end_with_parent(pid_t parent) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return -errno;
  if (getppid() != parent) raise(SIGKILL);
  return 0;
}

/* What waitid() told, as waitpid() would have. */
int mh_wait_status(const siginfo_t *info) {
  if (info->si_code == CLD_EXITED) return (info->si_status & 0xff) << 8;
  return (info->si_status & 0x7f) | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

/* The status that waitpid() would tell of a child that has ended; -EAGAIN: it runs. */
static int64_t exit_status(pid_t pid, bool reap) {
  siginfo_t info = {0};
  if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | (reap ? 0 : WNOWAIT)) < 0) return -errno;
  return info.si_pid == 0 ? -EAGAIN : mh_wait_status(&info);
}

/* A descriptor that is readable once process `pid` has ended; -errno. Since Linux 5.3. */
int mh_open_process(pid_t pid) {
  int fd = (int)syscall(SYS_pidfd_open, pid, 0u);
  return fd < 0 ? -errno : fd;
}

/* Some child that has ended and is still on the process table, whoever made it; 0: there is none now. */
pid_t mh_ended_child(void) {
  siginfo_t info = {0};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ? 0 : info.si_pid;
}

/* Blocks until one of `count` processes has ended, `timeout` ms at most; perhaps for less, for want of descriptors. */
void mh_await_any(const pid_t *pids, size_t count, int timeout) {
  struct pollfd *polls = calloc(count, sizeof *polls);
  if (!polls) return;
  for (size_t i = 0; i < count; i++) {
    polls[i] = (struct pollfd){mh_open_process(pids[i]), POLLIN, 0};
    if (polls[i].fd < 0 && timeout > 2) timeout = 2;
  }
  poll(polls, count, timeout);
  for (size_t i = 0; i < count; i++)
    if (polls[i].fd >= 0) close(polls[i].fd);
  free(polls);
}

/*
 * Blocks until child `pid` has ended, `timeout` ms at most (negative: for ever). -ETIMEDOUT: it has not. `reap`: takes it
 * off the process table too; else whoever waits for it next gets the same answer.
 */
int64_t mh_await_exit(pid_t pid, double timeout, bool reap) {
  struct timespec now;
  int64_t status = exit_status(pid, reap);
  if (status != -EAGAIN) return status;
  if (timeout == 0) return -ETIMEDOUT;
  clock_gettime(CLOCK_MONOTONIC, &now);
  double deadline = (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6 + timeout;
  int fd = mh_open_process(pid); /* if there is none, look every 2 ms */
  while ((status = exit_status(pid, reap)) == -EAGAIN) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    double left = deadline - ((double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6);
    if (timeout >= 0 && left <= 0) {
      status = -ETIMEDOUT;
      break;
    }
    int most = fd < 0 ? 2 : 1000;
    struct pollfd p = {fd, POLLIN, 0};
    poll(&p, 1, timeout >= 0 && left < most ? (int)left + 1 : most);
  }
  if (fd >= 0) close(fd);
  return status;
}

/*
 * Node marks V8's heap MADV_DONTFORK, which would leave a forked child without it. Takes that mark from every
 * mapping but the kernel's own.
 */
int mh_allow_fork(void) {
  FILE *maps = fopen("/proc/self/maps", "re");
  if (!maps) return -errno;
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, maps) > 0) {
    unsigned long long from, to;
    if (strstr(line, "[v") || sscanf(line, "%llx-%llx", &from, &to) != 2) continue;
    madvise((void *)(uintptr_t)from, (size_t)(to - from), MADV_DOFORK);
  }
  free(line);
  fclose(maps);
  return 0;
}
