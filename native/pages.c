/*
 * Pages that every child needs.
 *
 * A fork shares all pages, and the child takes a fault for each that it writes to (to get a copy) and for each piece of
 * a program file that it reads: about 500 of them, each some microseconds, more than all that it computes. So the server
 * has one child live a life to no purpose, and that one tells at its end which pages it came to have. Later children ask
 * the kernel for those pages in few calls, right after the fork (MADV_POPULATE_*, since Linux 5.14; before, nothing is gained
 * and nothing lost).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

struct run {
  uintptr_t start;
  uint32_t pages;
  int32_t advice;
};

/* More than ten times what a child needs; what does not fit is left to page faults. */
#define MOST_RUNS 4096
static struct run runs[MOST_RUNS];
static size_t run_count;

/* /proc/self/pagemap, one word a page: see the kernel's admin-guide/mm/pagemap.rst. */
#define PRESENT (UINT64_C(1) << 63)
#define OF_A_FILE (UINT64_C(1) << 61)
#define MINE_ALONE (UINT64_C(1) << 56)

static void add(uintptr_t page, size_t page_bytes, int advice) {
  struct run *last = run_count > 0 ? &runs[run_count - 1] : NULL;
  if (last && last->advice == advice && last->start + last->pages * page_bytes == page) {
    last->pages++;
  } else if (run_count < MOST_RUNS) {
    runs[run_count++] = (struct run){page, 1, advice};
  }
}

static void look_at(int pagemap, uintptr_t from, uintptr_t to, size_t page_bytes) {
  uint64_t words[512];
  for (uintptr_t at = from; at < to;) {
    size_t count = (to - at) / page_bytes;
    if (count > 512) count = 512;
    ssize_t got = pread(pagemap, words, count * sizeof *words, (off_t)(at / page_bytes * sizeof *words));
    if (got <= 0) return;
    for (size_t i = 0; i < (size_t)got / sizeof *words; i++, at += page_bytes) {
      if (!(words[i] & PRESENT)) continue;
      if (words[i] & OF_A_FILE)
        add(at, page_bytes, MADV_POPULATE_READ);
      else if (words[i] & MINE_ALONE)
        add(at, page_bytes, MADV_POPULATE_WRITE);
    }
  }
}

/* In the child that lives to no purpose, at its end: tells through `pipe` what pages it has of its own. */
int mh_tell_pages(int pipe) {
  size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
  FILE *maps = fopen("/proc/self/maps", "re");
  int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (!maps || pagemap < 0) return -errno;
  run_count = 0;
  char line[512];
  while (fgets(line, sizeof line, maps)) {
    unsigned long long from, to;
    char rights[5];
    if (sscanf(line, "%llx-%llx %4s", &from, &to, rights) != 3 || rights[3] != 'p' || strstr(line, "[v")) continue;
    look_at(pagemap, (uintptr_t)from, (uintptr_t)to, page_bytes);
  }
  fclose(maps);
  close(pagemap);
  const char *bytes = (const char *)runs;
  for (size_t left = run_count * sizeof *runs; left > 0;) {
    ssize_t wrote = write(pipe, bytes, left);
    if (wrote < 0) return -errno;
    bytes += wrote;
    left -= (size_t)wrote;
  }
  return (int)run_count;
}

/* In the server: takes down what that child tells, for `timeout` ms at most. */
void mh_hear_pages(int pipe, int timeout) {
  char *into = (char *)runs;
  size_t room = sizeof runs;
  struct pollfd p = {pipe, POLLIN, 0};
  while (room > 0 && poll(&p, 1, timeout) > 0) {
    ssize_t got = read(pipe, into, room);
    if (got <= 0) break;
    into += got;
    room -= (size_t)got;
  }
  run_count = (sizeof runs - room) / sizeof *runs;
}

/* In a child, first of all. */
void mh_take_pages(void) {
  size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
  for (size_t i = 0; i < run_count; i++) {
    /* A run that is not there (that child had mapped it itself) does no harm. */
    if (madvise((void *)runs[i].start, runs[i].pages * page_bytes, runs[i].advice) < 0 && errno == EINVAL) return;
  }
}
