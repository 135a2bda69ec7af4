/*
 * The janitor removes the names in /dev/shm that a family has made and not removed, once the last of the family has ended,
 * however it ended. Files there outlive a program that is killed, and nobody of the family may be left to remove them: so
 * this is a process of its own, one a family, born with the first name. It is told of each name before that exists.
 *
 * It runs nothing but what stands here, in what was forked from a process with threads: system calls only, and no memory of the C
 * library's. Its door is the write end of a pipe, opened by all others through /proc.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core.h"

/* The descriptors of the janitor: what it hears, and what others write to. */
#define EAR 3
#define DOOR 4
/* How often to look where the kernel has no pidfd (before Linux 5.3), ms. */
#define LOOK 50
/* Names at a time. Room is set aside for them, and taken as they come. */
#define MOST_NAMES (1u << 20)
/* Mappings below this are not worth a system call. */
#define WORTH 262144u

/* What is written to the door, in one piece: it is shorter than PIPE_BUF. */
struct message {
  uint64_t inode;
  uint32_t what;
  char name[MH_MAX_SEGMENT_NAME + 1];
};

struct names {
  struct message *all;
  uint32_t count;
};

/* ── the janitor's side ── */

/* Hears all there is to hear. */
static void hear(struct names *names) {
  struct message m;
  while (read(EAR, &m, sizeof m) == (ssize_t)sizeof m) {
    if (m.what == MH_JANITOR_KEEP && names->count < MOST_NAMES) names->all[names->count++] = m;
    if (m.what != MH_JANITOR_DROP) continue;
    uint32_t i = 0;
    while (i < names->count && names->all[i].inode != m.inode) i++;
    if (i < names->count) names->all[i] = names->all[--names->count];
  }
}

static bool has_ended(pid_t pid, int fd) {
  struct pollfd p = {fd, POLLIN, 0};
  if (fd >= 0) return poll(&p, 1, 0) > 0;
  return fd != -ESRCH && kill(pid, 0) != 0 ? errno == ESRCH : fd == -ESRCH;
}

/* A descriptor for process `pid`; -ESRCH: it has ended; another -errno: the kernel has no such descriptors. */
static int watch(pid_t pid) {
  int fd = mh_open_process(pid);
  if (!has_ended(pid, fd)) return fd;
  if (fd >= 0) close(fd);
  return -ESRCH;
}

/* Some process of the family that lives, to be watched by `fd`; 0: there is none. */
static pid_t somebody(int *fd) {
  uint32_t used = mh_load(&mh_header()->participants_used);
  for (uint32_t i = 1; i < used && i < MH_MAX_PARTICIPANTS; i++) {
    const struct mh_participant *p = mh_participant(i);
    pid_t pid = (pid_t)mh_load(&p->pid);
    if (mh_load(&p->state) == MH_PARTICIPANT_LIVE && pid != 0 && (*fd = watch(pid)) != -ESRCH) return pid;
  }
  /* One that was born and has not come to take part. */
  used = mh_load(&mh_header()->processes_used);
  for (uint32_t i = 0; i < used && i < MH_MAX_PROCESSES; i++) {
    pid_t pid = (pid_t)mh_load(&mh_process(i)->pid);
    if (mh_process_state(mh_process(i)) == MH_PROCESS_RUNNING && pid != 0 && (*fd = watch(pid)) != -ESRCH) return pid;
  }
  return 0;
}

static _Noreturn void keep_house(struct names names) {
  int fd;
  for (pid_t pid = somebody(&fd); pid != 0; pid = somebody(&fd)) {
    while (!has_ended(pid, fd)) {
      struct pollfd p[] = {{EAR, POLLIN, 0}, {fd, POLLIN, 0}};
      poll(p, 2, fd < 0 ? LOOK : -1);
      hear(&names);
    }
    if (fd >= 0) close(fd);
  }
  hear(&names);
  for (uint32_t i = 0; i < names.count; i++) mh_segment_remove(names.all[i].name, names.all[i].inode);
  _exit(0);
}

/*
 * Gives back what was forked along and is of no use here, or it would be kept twice as soon as the others change it. That includes
 * what the dynamic linker knows, so the addon is linked with all its symbols bound at once (-z now).
 */
static void shed(void) {
#ifndef __SANITIZE_ADDRESS__ /* what the sanitizer notes of all memory would go, too */
  static char text[65536];
  uintptr_t kept[] = {(uintptr_t)&kept, (uintptr_t)&errno, (uintptr_t)&mh_base, (uintptr_t)text};
  int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  size_t held = 0;
  ssize_t got;
  while (fd >= 0 && (got = read(fd, text + held, sizeof text - 1 - held)) > 0) {
    held += (size_t)got;
    text[held] = '\0';
    char *line = text, *end;
    for (; (end = strchr(line, '\n')); line = end + 1) {
      /* from-to rw-p offset device inode */
      char *rest;
      uintptr_t from = strtoull(line, &rest, 16), to = strtoull(rest + 1, &rest, 16);
      bool useful = strncmp(rest, " rw-p 00000000 00:00 0", 22) != 0 || to - from < WORTH;
      for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) useful |= kept[i] >= from && kept[i] < to;
      if (!useful) madvise((void *)from, to - from, MADV_DONTNEED);
    }
    held = (size_t)(text + held - line);
    memmove(text, line, held);
  }
  if (fd >= 0) close(fd);
#endif
}

/* Closes all but the descriptors of its own. Others may be what somebody waits for to be closed. */
static void close_others(void) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, DOOR + 1, ~0u, 0u) == 0) return;
#endif
  struct rlimit limit = {0};
  getrlimit(RLIMIT_NOFILE, &limit);
  for (int fd = DOOR + 1; fd < (int)(limit.rlim_cur > 65536 ? 65536 : limit.rlim_cur); fd++) close(fd);
}

/* `seen`: the janitor that is gone, whose place this one takes, unless another has. */
static _Noreturn void live(const int ear_and_door[2], int ready, uint64_t seen) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  prctl(PR_SET_NAME, "mh-janitor");
  setsid();
  if (chdir("/") != 0) _exit(1);
  /* Out of the way of the numbers that they are to have. */
  int ear = fcntl(ear_and_door[0], F_DUPFD, DOOR + 2), door = fcntl(ear_and_door[1], F_DUPFD, DOOR + 2);
  fcntl(ready, F_DUPFD, DOOR + 2);
  int nothing = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < EAR; fd++) dup2(nothing, fd);
  if (dup2(ear, EAR) < 0 || dup2(door, DOOR) < 0) _exit(1);
  uint32_t inode;
  if (fcntl(EAR, F_SETFL, O_NONBLOCK) < 0 || mh_pipe_inode(DOOR, &inode) < 0) _exit(1);
  struct names names = {0};
  names.all = mmap(NULL, MOST_NAMES * sizeof *names.all, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (names.all == MAP_FAILED) _exit(1);
  if (!mh_swap_two_if(&mh_header()->janitor, seen, mh_two_words((uint32_t)getpid(), inode))) _exit(0);
  close_others(); /* `ready` too: who waits for a janitor sees it hang up */
  shed();
  keep_house(names);
}

/* ── the others' side ── */

/* Has a janitor take the place of `seen`, which is gone. It is nobody's child, so that nobody is told of its end. */
static int employ(uint64_t seen) {
  int pipe[2], ready[2];
  if (pipe2(pipe, O_CLOEXEC) < 0) return -errno;
  if (pipe2(ready, O_CLOEXEC) < 0) {
    int err = errno;
    close(pipe[0]);
    close(pipe[1]);
    return -err;
  }
  pid_t pid = fork();
  if (pid == 0) {
    pid_t janitor = fork();
    if (janitor == 0) live(pipe, ready[1], seen);
    _exit(janitor < 0 ? errno : 0);
  }
  int status = 0, error = pid < 0 ? -errno : 0;
  close(pipe[0]);
  close(pipe[1]);
  close(ready[1]);
  if (pid > 0) {
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status)) error = -WEXITSTATUS(status);
    char nothing;
    while (read(ready[0], &nothing, 1) < 0 && errno == EINTR) continue;
  }
  close(ready[0]);
  return error;
}

/* The door of this janitor, which is its pid and the inode of that pipe; -errno: there is none. */
static int open_door(uint64_t janitor) {
  char path[64];
  uint32_t words[2], inode;
  memcpy(words, &janitor, sizeof words);
  if (words[0] == 0) return -ESRCH;
  snprintf(path, sizeof path, "/proc/%u/fd/%d", words[0], DOOR);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  if (mh_pipe_inode(fd, &inode) == 0 && inode == words[1]) return fd;
  close(fd);
  return -ESRCH;
}

/*
 * Tells the janitor of a name, which it is to remove at the end of the family, or not any more. For the former one is employed if there
 * is none. It hears of what was written, whatever becomes of the writer.
 */
int mh_janitor_tell(uint32_t what, uint64_t inode, const char *name) {
  struct message m = {.inode = inode, .what = what};
  snprintf(m.name, sizeof m.name, "%s", name);
  for (int attempt = 0;; attempt++) {
    uint64_t janitor = __atomic_load_n((uint64_t *)(void *)&mh_header()->janitor, __ATOMIC_SEQ_CST);
    int fd = open_door(janitor);
    if (fd >= 0) {
      ssize_t written;
      while ((written = write(fd, &m, sizeof m)) < 0 && errno == EINTR) continue;
      close(fd);
      if (written == (ssize_t)sizeof m) return 0;
    }
    if (what != MH_JANITOR_KEEP) return 0; /* it knows nothing of it */
    if (attempt == 3) return -ESRCH;
    int error = employ(janitor);
    if (error < 0) return error;
  }
}
