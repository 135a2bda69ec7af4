/*
 * What threads leave behind in a fork.
 *
 * V8's worker threads sleep on a condition variable. In a forked child they are gone, but the variable still counts
 * them: after a few signals glibc waits for one of them to leave, for ever (__condvar_quiesce_and_switch_g1). V8 gives such
 * signals now and then even with --single-threaded, from garbage collections for instance. So the server, before
 * its first fork, notes on which variables its threads sleep, and after it makes them as if nobody had ever come.
 *
 * A sleeping thread's futex word stands in /proc/self/task/TID/syscall. That it lies in a condition variable is
 * believed only if the variable counts as many sleepers as were seen. musl's variables need none of this.
 */
#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"

#if defined(__GLIBC__)

/* glibc's struct __pthread_cond_s since 2.25: sequence numbers, two groups, and counts, in 48 bytes. */
#define WAITERS_AT 36 /* bits 3 and up: how many wait; below: its attributes */
#define SIGNALS_AT 40 /* two futex words, one a group */
#define ATTRIBUTES 3u

#define MOST 64
static struct {
  unsigned char *base;
  uint32_t sleepers;
} left[MOST];
static int left_count;

static void note(uintptr_t futex) {
  unsigned char *base = (unsigned char *)((futex & ~(uintptr_t)7) - SIGNALS_AT);
  for (int i = 0; i < left_count; i++) {
    if (left[i].base != base) continue;
    left[i].sleepers++;
    return;
  }
  if (left_count == MOST) return;
  left[left_count].base = base;
  left[left_count++].sleepers = 1;
}

/* Notes where this process's other threads sleep. Returns how many of them do not sleep, but run. */
int mh_note_sleepers(void) {
  int running = 0;
  left_count = 0;
  DIR *tasks = opendir("/proc/self/task");
  if (!tasks) return 0;
  for (struct dirent *entry; (entry = readdir(tasks));) {
    char path[64], line[256];
    if (!isdigit((unsigned char)entry->d_name[0]) || atoi(entry->d_name) == (int)syscall(SYS_gettid)) continue;
    snprintf(path, sizeof path, "/proc/self/task/%.20s/syscall", entry->d_name);
    FILE *file = fopen(path, "re");
    if (!file) continue;
    long number;
    unsigned long long futex;
    if (!fgets(line, sizeof line, file)) line[0] = '\0';
    if (line[0] == 'r') running++; /* "running" */
    if (sscanf(line, "%ld %llx", &number, &futex) == 2 && number == SYS_futex) note((uintptr_t)futex);
    fclose(file);
  }
  closedir(tasks);
  return running;
}

/*
 * Node 20 counts the tasks that V8 gives its worker threads, and a Worker that ends waits until the count is 0: in a
 * forked child for ever, as V8 of that version gives one at each garbage collection, for threads that are not there.
 * Starting far below 0, the count does not get there. It follows the variable on which those threads sleep, in
 *   class TaskQueue { Mutex lock; ConditionVariable available, drained; int outstanding; bool stopped; std::queue … }
 * and is written to only if all around it is as it must be in an empty queue of libstdc++'s.
 */
static void uncount_tasks(unsigned char *available) {
  struct {
    int32_t outstanding;
    uint8_t stopped;
    void *map;
    size_t map_size;
    void *first[4], *last[4]; /* iterators: where, begin and end of the chunk, chunk */
  } queue;
  Dl_info info;
  unsigned char *at = available + 2 * sizeof(pthread_cond_t);
  if (dladdr(available, &info) != 0) return; /* a static variable: another one's */
  memcpy(&queue, at, sizeof queue);
  if (queue.outstanding != 0 || queue.stopped || !queue.map || queue.map_size != 8) return;
  if (memcmp(queue.first, queue.last, sizeof queue.first) != 0) return;
  queue.outstanding = INT32_MIN / 2;
  memcpy(at, &queue.outstanding, sizeof queue.outstanding);
}

/* In a process forked since, which has this one thread: nobody sleeps there any more. */
void mh_forget_sleepers(bool counted) {
  for (int i = 0; i < left_count; i++) {
    uint32_t waiters;
    memcpy(&waiters, left[i].base + WAITERS_AT, sizeof waiters);
    if (waiters >> 3 != left[i].sleepers) continue;
    memset(left[i].base, 0, sizeof(pthread_cond_t));
    if (counted) uncount_tasks(left[i].base);
    waiters &= ATTRIBUTES;
    memcpy(left[i].base + WAITERS_AT, &waiters, sizeof waiters);
  }
  left_count = 0;
}

#else

int mh_note_sleepers(void) { return 0; }

void mh_forget_sleepers(bool counted) { (void)counted; }

#endif
