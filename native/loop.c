/* The event loop's side of a doorbell, the ends of forked children, and the end of an event loop in such a child. */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "core.h"

/* A handle and the JavaScript function it calls. `handle.data` points back; open handles are freed by uv_close. */
struct watcher {
  struct mh_loop *loop;
  union {
    uv_handle_t any;
    uv_poll_t poll;
    uv_prepare_t prepare;
    uv_signal_t signal;
  } handle;
  napi_env env;
  napi_ref listener;
  napi_async_context context;
  int fds[2];
  uint32_t participant;
  pid_t pid;
  unsigned credit, skipped; /* see linger() */
  struct watcher *next;
};

struct mh_loop {
  napi_env env;
  uv_loop_t *uv;
  struct watcher *bell;
  struct watcher *end;
  struct watcher *children;
  struct watcher *processes;
  struct watcher **sockets; /* by descriptor */
  int socket_limit;
  uv_idle_t idle;
  uint32_t tag; /* of the participant that this thread is, or was; 0: none yet */
};

static void freed(uv_handle_t *handle) { free(handle->data); }

static void close_watcher(struct watcher **slot) {
  struct watcher *w = *slot;
  if (!w) return;
  *slot = NULL;
  if (w->listener) napi_delete_reference(w->env, w->listener);
  if (w->context) napi_async_destroy(w->env, w->context);
  uv_close(&w->handle.any, freed); /* stops watching at once */
  if (w->fds[0] >= 0) close(w->fds[0]);
  if (w->fds[1] >= 0) close(w->fds[1]);
}

static void close_all(void *data) {
  struct mh_loop *loop = data;
  close_watcher(&loop->bell);
  close_watcher(&loop->end);
  close_watcher(&loop->children);
  mh_loop_drop_watches(loop);
  for (int fd = 0; fd < loop->socket_limit; fd++) close_watcher(&loop->sockets[fd]);
  free(loop->sockets);
  /* A main thread ends with its process, and who reaps that tells of it. */
  if (loop->tag != 0 && syscall(SYS_gettid) != getpid()) mh_mourn(loop->tag);
  free(loop);
}

struct mh_loop *mh_loop_new(napi_env env) {
  struct mh_loop *loop = calloc(1, sizeof *loop);
  if (!loop) return NULL;
  loop->env = env;
  if (napi_get_uv_event_loop(env, &loop->uv) != napi_ok || napi_add_env_cleanup_hook(env, close_all, loop) != napi_ok) {
    free(loop);
    return NULL;
  }
  return loop;
}

int mh_loop_join(struct mh_loop *loop) { return mh_join(&loop->tag); }

static struct watcher *new_watcher(struct mh_loop *loop, napi_value listener, const char *name) {
  struct watcher *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  napi_value resource;
  w->loop = loop;
  w->env = loop->env;
  w->fds[0] = w->fds[1] = -1;
  w->handle.any.data = w;
  if (napi_create_string_utf8(loop->env, name, NAPI_AUTO_LENGTH, &resource) != napi_ok ||
      napi_async_init(loop->env, NULL, resource, &w->context) != napi_ok ||
      napi_create_reference(loop->env, listener, 1, &w->listener) != napi_ok) {
    free(w);
    return NULL;
  }
  return w;
}

static void call(struct watcher *w, double argument) {
  napi_env env = w->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value receiver, listener, error, value;
  bool failed = false;
  napi_get_global(env, &receiver);
  napi_get_reference_value(env, w->listener, &listener);
  napi_create_double(env, argument, &value);
  napi_make_callback(env, w->context, receiver, listener, 1, &value, NULL);
  if (napi_is_exception_pending(env, &failed) == napi_ok && failed &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok && !mh_is_leaving())
    napi_fatal_exception(env, error);
  napi_close_handle_scope(env, scope);
}

static void note_ring(struct watcher *w) {
  char bytes[64];
  while (read(w->fds[0], bytes, sizeof bytes) == (ssize_t)sizeof bytes) continue;
  /* SYNC POINT with ring(): from here on the next ring writes again, and what this one stands for is seen after this. */
  mh_store(&mh_participant(w->participant)->rung, 0);
}

static void on_ring(uv_poll_t *poll, int status, int events) {
  struct watcher *w = poll->data;
  (void)status;
  (void)events;
  note_ring(w);
  call(w, 0);
}

int mh_loop_open_bell(struct mh_loop *loop, uint32_t index, napi_value listener) {
  struct mh_participant *p = mh_participant(index);
  struct watcher *w = new_watcher(loop, listener, "manyhands.doorbell");
  if (!w) return -ENOMEM;
  w->participant = index;
  if (pipe2(w->fds, O_CLOEXEC | O_NONBLOCK) < 0) {
    int err = errno;
    napi_delete_reference(loop->env, w->listener);
    napi_async_destroy(loop->env, w->context);
    free(w);
    return -err;
  }
  mh_pipe_inode(w->fds[1], &p->doorbell_inode);
  mh_store(&p->doorbell_fd, (uint32_t)w->fds[1]);
  uv_poll_init(loop->uv, &w->handle.poll, w->fds[0]);
  uv_poll_start(&w->handle.poll, UV_READABLE, on_ring);
  uv_unref(&w->handle.any);
  loop->bell = w;
  return 0;
}

void mh_loop_close_bell(struct mh_loop *loop) { close_watcher(&loop->bell); }

void mh_loop_hold(struct mh_loop *loop, int hold) {
  if (!loop->bell) return;
  if (hold)
    uv_ref(&loop->bell->handle.any);
  else
    uv_unref(&loop->bell->handle.any);
}

static void do_nothing(uv_idle_t *idle) { (void)idle; }

/*
 * Runs just before the loop would go to sleep, when all that the last turn had to do is done. The watcher itself keeps
 * the loop alive, so it must look away from itself. Promises that V8 settles by tasks of its own (those of WebAssembly)
 * come by a handle that does not count as alive: so the loop has one more turn first, which an idle handle keeps from
 * sleeping. Then the first call may give the loop new work, also by the promises that it settles; the second is final.
 */
static void on_prepare(uv_prepare_t *prepare) {
  struct watcher *w = prepare->data;
  struct mh_loop *loop = w->loop;
  uv_unref(&w->handle.any);
  bool last_turn = uv_is_active((uv_handle_t *)&loop->idle);
  if (last_turn) uv_idle_stop(&loop->idle);
  if (!uv_loop_alive(prepare->loop)) {
    if (last_turn) {
      for (int final = 0; final < 2 && !uv_loop_alive(prepare->loop); final++) call(w, final);
    } else {
      uv_idle_start(&loop->idle, do_nothing);
    }
  }
  uv_ref(&w->handle.any);
}

int mh_loop_on_end(struct mh_loop *loop, napi_value listener) {
  if (loop->end) return 0; /* it is the child of one that was forked itself */
  struct watcher *w = new_watcher(loop, listener, "manyhands.end");
  if (!w) return -ENOMEM;
  uv_idle_init(loop->uv, &loop->idle);
  uv_unref((uv_handle_t *)&loop->idle);
  uv_prepare_init(loop->uv, &w->handle.prepare);
  uv_prepare_start(&w->handle.prepare, on_prepare);
  loop->end = w;
  return 0;
}

/* Takes it out of the list. */
static void drop_watch(struct watcher **slot) {
  struct watcher *next = (*slot)->next;
  close_watcher(slot);
  *slot = next;
}

void mh_loop_drop_watches(struct mh_loop *loop) {
  while (loop->processes) drop_watch(&loop->processes);
}

static void on_process_end(uv_poll_t *poll, int status, int events) {
  struct watcher *w = poll->data, **slot = &w->loop->processes;
  (void)status;
  (void)events;
  uv_poll_stop(poll);
  call(w, (double)w->pid);
  while (*slot && *slot != w) slot = &(*slot)->next; /* the listener may have dropped them all */
  if (*slot) drop_watch(slot);
}

int mh_loop_watch(struct mh_loop *loop, pid_t pid, napi_value listener) {
  int fd = mh_open_process(pid);
  if (fd < 0) return fd;
  struct watcher *w = new_watcher(loop, listener, "manyhands.process");
  if (!w) {
    close(fd);
    return -ENOMEM;
  }
  w->fds[0] = fd;
  w->pid = pid;
  w->next = loop->processes;
  loop->processes = w;
  uv_poll_init(loop->uv, &w->handle.poll, fd);
  uv_unref(&w->handle.any);
  return uv_poll_start(&w->handle.poll, UV_READABLE, on_process_end);
}

/* Room for a descriptor of this number: they are small, as the kernel gives the smallest that is free. */
static int make_room(struct mh_loop *loop, int fd) {
  if (fd < loop->socket_limit) return 0;
  int limit = loop->socket_limit > 0 ? loop->socket_limit : 64;
  while (limit <= fd) limit *= 2;
  struct watcher **sockets = realloc(loop->sockets, (size_t)limit * sizeof *sockets);
  if (!sockets) return -ENOMEM;
  for (int i = loop->socket_limit; i < limit; i++) sockets[i] = NULL;
  loop->sockets = sockets;
  loop->socket_limit = limit;
  return 0;
}

static struct watcher *socket_watcher(const struct mh_loop *loop, int fd) {
  return fd >= 0 && fd < loop->socket_limit ? loop->sockets[fd] : NULL;
}

/* How long to look out, in ns; and once in how many events if that was in vain of late. */
#define LINGER 100000
#define SELDOM 64
#define MOST_CREDIT 16

static bool is_something_up(uv_loop_t *uv) {
  struct pollfd p = {.fd = uv_backend_fd(uv), .events = POLLIN};
  return poll(&p, 1, 0) > 0;
}

/* On the only processor who looks out keeps from working whom it waits for. */
static bool is_alone(void) {
  static _Atomic int processors; /* 0: not looked at yet */
  cpu_set_t set;
  if (processors == 0) processors = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 2;
  return processors == 1;
}

/*
 * Before the loop may sleep: looks out for a moment for what comes next, be it whatever. Who is asked one thing after another, or
 * asks, has the next in less time than falling asleep and being woken takes. Only as long as that proves right.
 */
static void linger(struct watcher *w) {
  if (is_alone() || (w->credit == 0 && ++w->skipped < SELDOM)) return;
  w->skipped = 0;
  uint64_t end = uv_hrtime() + LINGER;
  do {
    if (is_something_up(w->loop->uv)) {
      if (w->credit < MOST_CREDIT) w->credit++;
      return;
    }
  } while (uv_hrtime() < end);
  if (w->credit > 0) w->credit--;
}

static void on_socket(uv_poll_t *poll, int status, int events) {
  struct watcher *w = poll->data;
  int is = 0;
  if (events & UV_READABLE) is |= MH_SOCKET_READABLE;
  if (events & UV_WRITABLE) is |= MH_SOCKET_WRITABLE;
  /* An error, which whoever reads or writes is told. What came before it can be read still, but libuv has stopped watching. */
  if (status < 0) is = MH_SOCKET_READABLE | MH_SOCKET_WRITABLE | MH_SOCKET_UNWATCHED;
  call(w, is);
  if (!uv_is_closing(&w->handle.any)) linger(w);
}

int mh_loop_watch_socket(struct mh_loop *loop, int fd, napi_value listener) {
  if (fd < 0) return -EBADF;
  if (socket_watcher(loop, fd)) return -EEXIST;
  int result = make_room(loop, fd);
  if (result < 0) return result;
  struct watcher *w = new_watcher(loop, listener, "manyhands.socket");
  if (!w) return -ENOMEM;
  result = uv_poll_init(loop->uv, &w->handle.poll, fd);
  if (result < 0) {
    napi_delete_reference(loop->env, w->listener);
    napi_async_destroy(loop->env, w->context);
    free(w);
    return result;
  }
  uv_unref(&w->handle.any);
  w->fds[0] = fd;
  loop->sockets[fd] = w;
  return 0;
}

int mh_loop_want(struct mh_loop *loop, int fd, int wanted, bool hold) {
  struct watcher *w = socket_watcher(loop, fd);
  if (!w) return -EBADF;
  int events = (wanted & MH_SOCKET_READABLE ? UV_READABLE : 0) | (wanted & MH_SOCKET_WRITABLE ? UV_WRITABLE : 0);
  if (hold)
    uv_ref(&w->handle.any);
  else
    uv_unref(&w->handle.any);
  return events ? uv_poll_start(&w->handle.poll, events, on_socket) : uv_poll_stop(&w->handle.poll);
}

int mh_loop_close_socket(struct mh_loop *loop, int fd) {
  if (!socket_watcher(loop, fd)) return -EBADF;
  close_watcher(&loop->sockets[fd]);
  return 0;
}

int mh_loop_await_socket(struct mh_loop *loop, int fd, int wanted, int timeout) {
  int result = mh_socket_poll(fd, wanted, loop->bell ? loop->bell->fds[0] : -1, timeout);
  if (result > 0 && result & MH_SOCKET_RUNG) note_ring(loop->bell);
  return result;
}

static void on_child(uv_signal_t *signal, int number) {
  (void)number;
  call(signal->data, 0);
}

int mh_loop_on_child(struct mh_loop *loop, napi_value listener) {
  if (loop->children) return 0;
  struct watcher *w = new_watcher(loop, listener, "manyhands.children");
  if (!w) return -ENOMEM;
  uv_signal_init(loop->uv, &w->handle.signal);
  uv_unref(&w->handle.any);
  loop->children = w;
  return uv_signal_start(&w->handle.signal, on_child, SIGCHLD);
}

void mh_loop_hold_children(struct mh_loop *loop, int hold) {
  if (!loop->children) return;
  if (hold)
    uv_ref(&loop->children->handle.any);
  else
    uv_unref(&loop->children->handle.any);
}

int mh_loop_after_fork(struct mh_loop *loop) { return uv_loop_fork(loop->uv); }

uv_loop_t *mh_loop_uv(struct mh_loop *loop) { return loop->uv; }

static bool is(const struct watcher *w, const uv_handle_t *handle) { return w && &w->handle.any == handle; }

bool mh_loop_owns(const struct mh_loop *loop, const uv_handle_t *handle) {
  for (const struct watcher *w = loop->processes; w; w = w->next)
    if (is(w, handle)) return true;
  return is(loop->bell, handle) || is(loop->end, handle) || is(loop->children, handle) ||
         handle == (const uv_handle_t *)&loop->idle;
}
