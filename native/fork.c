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

/* What the pool had done before the fork is told in the child, too; what it had not is not waited for. */
static void forget_requests(uv_loop_t *loop) {
  unsigned done = length_of((void *const *)&loop->wq), requests = done;
  uv_walk(loop, look_at_handle, &requests);
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
    result = uv_loop_fork(loop);
    if (result == 0) forget_requests(loop);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result;
}
