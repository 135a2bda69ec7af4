/*
 * fork(2) of a process that runs JavaScript, on its main thread: the child goes on from here, with a copy of the heap and
 * of the event loop.
 *
 * Other threads (V8's, libuv's pool) are not in the child. So none of them may be in the midst of something with a lock in
 * hand: V8's are waited for, which get work only from this thread, and the one lock that libuv does not make anew in a
 * child is held by this thread meanwhile. What the pool had under way is lost to the child: its loop forgets to wait for it.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loop.h"

#include "core.h"

/* Looks at the other threads until all of them sleep, so often at most; one that computes for long is of libuv's pool. */
#define LOOKS 20
#define BETWEEN_LOOKS 100 /* µs */

static void await_sleepers(void) {
  for (int i = 0; i < LOOKS && mh_note_sleepers() > 0; i++) usleep(BETWEEN_LOOKS);
}

/* libuv's queues: a ring of pairs of pointers, to the next and to the one before. */
static unsigned length_of(void *const *queue) {
  unsigned length = 0;
  for (void *const *at = (void *const *)queue[0]; at != queue; at = (void *const *)at[0]) length++;
  return length;
}

/* How many requests this handle has under way. */
unsigned mh_requests_of(const uv_handle_t *handle) {
  if (handle->type == UV_UDP) {
    const uv_udp_t *udp = (const uv_udp_t *)handle;
    return length_of((void *const *)&udp->write_queue) + length_of((void *const *)&udp->write_completed_queue);
  }
  if (handle->type != UV_TCP && handle->type != UV_NAMED_PIPE && handle->type != UV_TTY) return 0;
  const uv_stream_t *stream = (const uv_stream_t *)handle;
  return length_of((void *const *)&stream->write_queue) + length_of((void *const *)&stream->write_completed_queue) +
         (stream->connect_req != NULL) + (stream->shutdown_req != NULL);
}

/* Counts the requests of one handle, which go on in the child; and what only the parent is told of keeps nothing alive. */
static void look_at_handle(uv_handle_t *handle, void *count) {
  unsigned *requests = count;
  *requests += mh_requests_of(handle);
  if (handle->type == UV_PROCESS) uv_unref(handle);
}

/* May 8 bytes be read from there? The kernel copies the set before it sees that there is nothing to be done with it. */
static bool is_readable(const void *address) {
  return syscall(SYS_rt_sigprocmask, -1, address, NULL, (size_t)8) != 0 && errno == EINVAL;
}

/*
 * How much of the pool's work is still to be told by a uv__work_done() that has called us: a fork in the callback of a file operation. Each
 * of it will be taken off the count of requests, and libuv aborts if it is not in it. It hangs on a queue that is a local
 * variable of that function, so it is looked for on the stack: what is the head of a ring of such work is that queue.
 */
__attribute__((no_sanitize("address"))) static unsigned being_told(uv_loop_t *loop) {
  pthread_attr_t attributes;
  void *bottom;
  size_t size;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
  pthread_attr_getstack(&attributes, &bottom, &size);
  pthread_attr_destroy(&attributes);
  void *const *top = (void *const *)((char *)bottom + size);
  for (void *const *head = (void *const *)&attributes; head + 2 <= top; head++) {
    void *const *first = (void *const *)head[0];
    const struct uv__work *work = (const struct uv__work *)((const char *)first - offsetof(struct uv__work, wq));
    if (!first || first == head || (uintptr_t)first % sizeof(void *) != 0 || !head[1]) continue;
    if (!is_readable(&work->loop) || !is_readable(&first[1]) || work->loop != loop || first[1] != (const void *)head) continue;
    return length_of(head);
  }
  return 0;
}

/* What the pool had done before the fork is told in the child, too; what it had not is not waited for. */
static void forget_requests(uv_loop_t *loop) {
  unsigned done = length_of((void *const *)&loop->wq), requests = done;
  uv_walk(loop, look_at_handle, &requests);
  if (loop->active_reqs.count > requests) requests += being_told(loop);
  loop->active_reqs.count = requests;
  if (done > 0) uv_async_send(&loop->wq_async);
}

/*
 * Returns 0 in the child, whose event loop is its own then, and the child's pid in the parent; -errno: there is no child.
 * `counted`: see left.c. Signals that come meanwhile wait: one for the child would else reach the parent's handlers.
 */
int mh_fork(uv_loop_t *loop, bool counted) {
  int error = mh_allow_fork();
  if (error < 0) return error;
  sigset_t all, before;
  sigfillset(&all);
  await_sleepers();
  pthread_sigmask(SIG_SETMASK, &all, &before);
  uv_mutex_lock(&loop->wq_mutex);
  pid_t pid = fork();
  int result = pid < 0 ? -errno : (int)pid;
  uv_mutex_unlock(&loop->wq_mutex);
  if (pid == 0) {
    mh_forget_sleepers(counted);
    mh_forget_watch();
    result = uv_loop_fork(loop);
    if (result == 0) forget_requests(loop);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result;
}
