/* The watchers that a thread of ours keeps on its event loop. */
#ifndef MANYHANDS_LOOP_H
#define MANYHANDS_LOOP_H

#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct mh_loop;

/*
 * Makes the watchers' state for this environment; it frees itself when the environment ends, however that comes about: by
 * Worker.terminate() too. If it is a Worker's, all others are told then that its participant is dead, unless that has left.
 */
struct mh_loop *mh_loop_new(napi_env env);
/* Makes this thread a participant; its index, or -errno. */
int mh_loop_join(struct mh_loop *loop);
/* Opens the doorbell of participant `index` (its record must be this thread's): `listener` runs at each ring. */
int mh_loop_open_bell(struct mh_loop *loop, uint32_t index, napi_value listener);
void mh_loop_close_bell(struct mh_loop *loop);
/* Does the doorbell keep the event loop alive? */
void mh_loop_hold(struct mh_loop *loop, int hold);
/* When the event loop has nothing left to do, calls `listener` with 0, and if there is still nothing, with 1. A second call does nothing. */
int mh_loop_on_end(struct mh_loop *loop, napi_value listener);
/* Calls `listener` when a child of this process may have ended. A second call does nothing. It does not keep the loop alive ... */
int mh_loop_on_child(struct mh_loop *loop, napi_value listener);
/* ... unless told to. */
void mh_loop_hold_children(struct mh_loop *loop, int hold);
/* Calls `listener` with its pid once process `pid` has ended; it does not keep the loop alive. -ESRCH: it has been waited for. */
int mh_loop_watch(struct mh_loop *loop, pid_t pid, napi_value listener);
/* Stops watching all of them. */
void mh_loop_drop_watches(struct mh_loop *loop);
/*
 * Has `listener` called with bits of MH_SOCKET_* whenever this socket is as mh_loop_want() asks, which is nothing at first; with
 * MH_SOCKET_UNWATCHED, it must be asked again. From then on the socket is closed by mh_loop_close_socket(), or with this thread. -EEXIST: it is watched already.
 */
int mh_loop_watch_socket(struct mh_loop *loop, int fd, napi_value listener);
/* `hold`: does that keep the event loop alive? -EBADF: this thread does not watch it. */
int mh_loop_want(struct mh_loop *loop, int fd, int wanted, bool hold);
int mh_loop_close_socket(struct mh_loop *loop, int fd);
/* As mh_socket_poll(), with this thread's doorbell. A ring is taken note of: it is not told to the listener any more. */
int mh_loop_await_socket(struct mh_loop *loop, int fd, int wanted, int timeout);
/* In a forked child: makes the inherited loop its own. */
int mh_loop_after_fork(struct mh_loop *loop);
uv_loop_t *mh_loop_uv(struct mh_loop *loop);
/* Is it one of the watchers? */
bool mh_loop_owns(const struct mh_loop *loop, const uv_handle_t *handle);

/* fork.c */
int mh_fork(uv_loop_t *loop, bool counted);
unsigned mh_requests_of(const uv_handle_t *handle);

/* leave.c */
bool mh_can_leave(void);
/* Is JavaScript being unwound? Node-API takes that for an exception. */
bool mh_is_leaving(void);
int mh_leave(struct mh_loop *loop, napi_env env, napi_value listener, const int *kept, size_t kept_count);
void mh_terminate(void);
void mh_run_all(uv_loop_t *loop);

#endif
