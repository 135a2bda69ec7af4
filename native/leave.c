/*
 * How a child that was forked deep inside its parent's JavaScript leaves that, and what its parent had under way, for good.
 *
 * The child may not return into its parent's code. So V8 is asked to terminate execution, which unwinds all frames of JavaScript
 * without any `catch` or `finally`, down to the event loop, and drops the microtasks whose turn it was. The loop then finds
 * two handles that were armed before, one for either phase that may come first, and the first to be called goes on in
 * JavaScript. V8 counts the execution as terminated only until it has left its last frame.
 *
 * Before that, the handles of the parent are put to sleep: they are left in being, as objects of JavaScript belong to
 * them, but no event reaches them, and they keep nothing alive. What has been done for the parent by libuv's pool, and
 * has not been told, is dropped.
 *
 * V8 and Node offer these functions to C++ only; they are called by their mangled names, which have been the same since Node 14.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include "loop.h"

static struct {
  void *(*isolate)(void);
  void (*terminate)(void *isolate);
  void (*cancel)(void *isolate);
  void (*run_microtasks)(void *isolate);
  /* What Node has libuv call when a timer is due, and after polling: they run timers, and immediates. */
  uv_timer_cb run_timers;
  uv_check_cb run_immediates;
} engine;

/* Converts a symbol: ISO C forbids to cast it to a function. */
#define FIND(member, name) (*(void **)&engine.member = dlsym(RTLD_DEFAULT, name))

/* Does this Node have all that is needed? */
bool mh_can_leave(void) {
  static bool found;
  if (found) return true;
  found = FIND(isolate, "_ZN2v87Isolate10GetCurrentEv") && FIND(terminate, "_ZN2v87Isolate18TerminateExecutionEv") &&
         FIND(cancel, "_ZN2v87Isolate24CancelTerminateExecutionEv") && FIND(run_microtasks, "_ZN2v87Isolate26PerformMicrotaskCheckpointEv") &&
         FIND(run_timers, "_ZN4node11Environment9RunTimersEP10uv_timer_s") &&
         FIND(run_immediates, "_ZN4node11Environment14CheckImmediateEP10uv_check_s");
  return found;
}

static bool on_the_way;

bool mh_is_leaving(void) { return on_the_way; }

/* The next function of JavaScript that begins, or this one's next turn of a loop, ends there, with all that called it. */
void mh_terminate(void) { engine.terminate(engine.isolate()); }

/* The first that begins is terminated, and with it all are dropped. */
static void drop_microtasks(void) {
  mh_terminate();
  engine.run_microtasks(engine.isolate());
}

static struct {
  bool ready; /* its handles are the loop's: one that was forked so may fork so */
  napi_env env;
  napi_ref listener;
  napi_async_context context;
  uv_idle_t idle;
  uv_check_t check;
  uv_timer_t *timers; /* Node has one for all of its timers */
  uv_check_t *immediates;
  unsigned requests; /* that go on */
  const int *kept;
  size_t kept_count;
} leaving;

static void unlink_queue(void *queue) {
  void **links = queue; /* next, and the one before */
  ((void **)links[1])[0] = links[0];
  ((void **)links[0])[1] = links[1];
  links[0] = links[1] = queue;
}

/* What libuv's own uv__io_stop() does for all events. */
static void stop_watching(uv_loop_t *loop, uv__io_t *watcher) {
  unlink_queue(&watcher->pending_queue);
  unlink_queue(&watcher->watcher_queue);
  watcher->pevents = watcher->events = 0;
  if (watcher->fd < 0 || (unsigned)watcher->fd >= loop->nwatchers || loop->watchers[watcher->fd] != watcher) return;
  loop->watchers[watcher->fd] = NULL;
  loop->nfds--;
}

static bool is_kept(const uv_handle_t *handle) {
  uv_os_fd_t fd;
  if (uv_fileno(handle, &fd) != 0) return false;
  for (size_t i = 0; i < leaving.kept_count; i++)
    if (leaving.kept[i] == fd) return true;
  return false;
}

static void put_to_sleep(uv_handle_t *handle, void *own) {
  if (uv_is_closing(handle) || mh_loop_owns(own, handle)) return;
  if (is_kept(handle)) {
    leaving.requests += mh_requests_of(handle);
    return;
  }
  switch (handle->type) {
    case UV_TIMER:
      if (((uv_timer_t *)handle)->timer_cb == engine.run_timers) leaving.timers = (uv_timer_t *)handle;
      uv_timer_stop((uv_timer_t *)handle);
      break;
    case UV_CHECK:
      if (((uv_check_t *)handle)->check_cb == engine.run_immediates) leaving.immediates = (uv_check_t *)handle;
      return;
    case UV_IDLE:
    case UV_PREPARE:
      return; /* Node's and ours, by which the loop works */
    case UV_TCP:
    case UV_NAMED_PIPE:
    case UV_TTY:
      uv_read_stop((uv_stream_t *)handle);
      stop_watching(handle->loop, &((uv_stream_t *)handle)->io_watcher);
      break;
    case UV_UDP:
      uv_udp_recv_stop((uv_udp_t *)handle);
      stop_watching(handle->loop, &((uv_udp_t *)handle)->io_watcher);
      break;
    case UV_POLL:
      uv_poll_stop((uv_poll_t *)handle);
      break;
    case UV_FS_EVENT:
      uv_fs_event_stop((uv_fs_event_t *)handle);
      break;
    case UV_FS_POLL:
      uv_fs_poll_stop((uv_fs_poll_t *)handle);
      break;
    case UV_SIGNAL:
      uv_signal_stop((uv_signal_t *)handle);
      break;
    default:
      break;
  }
  uv_unref(handle);
}

/* Called by the loop, with no JavaScript beneath. */
static void arrive(uv_loop_t *loop) {
  napi_env env = leaving.env;
  napi_async_context context = leaving.context; /* a copy: the listener may start a process that leaves this, too */
  napi_handle_scope scope;
  napi_value receiver, listener, error;
  bool failed = false;
  uv_idle_stop(&leaving.idle);
  uv_check_stop(&leaving.check);
  drop_microtasks(); /* what was done on the way may have brought new ones */
  engine.cancel(engine.isolate());
  on_the_way = false;
  loop->active_reqs.count = leaving.requests;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_get_global(env, &receiver);
  napi_get_reference_value(env, leaving.listener, &listener);
  napi_delete_reference(env, leaving.listener);
  napi_make_callback(env, context, receiver, listener, 0, NULL, NULL);
  napi_async_destroy(env, context);
  if (napi_is_exception_pending(env, &failed) == napi_ok && failed &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok && !on_the_way)
    napi_fatal_exception(env, error);
  napi_close_handle_scope(env, scope);
}

static void on_idle(uv_idle_t *idle) { arrive(idle->loop); }
static void on_check(uv_check_t *check) { arrive(check->loop); }

/*
 * In a child, called from JavaScript, which has to begin a loop or a function next: unwinds all of it, and calls `listener`
 * from the event loop. Handles of the descriptors `kept` stay as they are, and so
 * do our own; all others go to sleep.
 */
int mh_leave(struct mh_loop *own, napi_env env, napi_value listener, const int *kept, size_t kept_count) {
  uv_loop_t *loop = mh_loop_uv(own);
  napi_value name;
  leaving.env = env;
  leaving.kept = kept;
  leaving.kept_count = kept_count;
  leaving.requests = 0;
  if (napi_create_string_utf8(env, "manyhands.child", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(env, NULL, name, &leaving.context) != napi_ok ||
      napi_create_reference(env, listener, 1, &leaving.listener) != napi_ok)
    return -ENOMEM;
  uv_walk(loop, put_to_sleep, own);
  loop->closing_handles = NULL;
  unlink_queue(&loop->wq);
  if (!leaving.ready) {
    uv_idle_init(loop, &leaving.idle);
    uv_check_init(loop, &leaving.check);
    leaving.ready = true;
  }
  /* Handles that are started later are called earlier, so these come before Node's. */
  uv_idle_start(&leaving.idle, on_idle);
  uv_check_start(&leaving.check, on_check);
  on_the_way = true;
  /* Of the pool's work that is being told now, the rest will be, to nobody; and libuv wants it to have been counted. */
  loop->active_reqs.count = UINT_MAX / 2;
  drop_microtasks(); /* unless it is one of them that called: then they go with it */
  mh_terminate();
  return 0;
}

/* More than the longest timer. */
#define LONG (UINT64_C(1) << 32) /* ms */

/* Runs all timers and immediates that there are, due or not. */
void mh_run_all(uv_loop_t *loop) {
  if (leaving.timers) {
    loop->time += LONG;
    engine.run_timers(leaving.timers);
    loop->time -= LONG;
    uv_update_time(loop);
  }
  if (leaving.immediates) engine.run_immediates(leaving.immediates);
}
