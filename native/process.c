/* What the kernel knows about a process, and what must be told to it before a fork. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"

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
  return 0;
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
