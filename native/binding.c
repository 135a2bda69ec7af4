/* The one place where C meets JavaScript: takes arguments apart, calls, turns -errno into a thrown Error with `errno` and `code`. */
#include <poll.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <uv.h>

#include "core.h"
#include "loop.h"

#define MAX_ARGS 6

struct call {
  napi_env env;
  size_t count;
  napi_value args[MAX_ARGS];
};

static struct call open_call(napi_env env, napi_callback_info info) {
  struct call c = {.env = env, .count = MAX_ARGS};
  napi_get_cb_info(env, info, &c.count, c.args, NULL, NULL);
  return c;
}

/* TypeScript has checked the arguments; a wrong one reads as 0. */
static double number(const struct call *c, size_t i) {
  double value = 0;
  if (i < c->count) napi_get_value_double(c->env, c->args[i], &value);
  return value;
}
static uint32_t *word(const struct call *c, size_t i) { return (uint32_t *)(void *)mh_base + (uint32_t)number(c, i); }

static napi_value result_number(napi_env env, double value) {
  napi_value result = NULL;
  napi_create_double(env, value, &result);
  return result;
}

/* Negative: throws. */
static napi_value result_or_throw(napi_env env, const char *call, int64_t value) {
  if (value >= 0) return result_number(env, (double)value);
  char message[160];
  napi_value text, code, error, number;
  snprintf(message, sizeof message, "%s: %s", call, strerror((int)-value));
  napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text);
  napi_create_string_utf8(env, uv_err_name((int)value), NAPI_AUTO_LENGTH, &code);
  napi_create_error(env, code, text, &error);
  napi_create_double(env, (double)value, &number);
  napi_set_named_property(env, error, "errno", number);
  napi_throw(env, error);
  return NULL;
}

static struct mh_loop *loop_of(napi_env env) {
  void *loop = NULL;
  napi_get_instance_data(env, &loop);
  return loop;
}

/* ── arena ── */

static napi_value arena_create(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "memfd_create", mh_arena_create((uint64_t)number(&c, 0)));
}

static napi_value arena_map(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "mmap", mh_arena_map((int)number(&c, 0), (uint64_t)number(&c, 1)));
}

static void not_ours(napi_env env, void *data, void *hint) {
  (void)env, (void)data, (void)hint; /* the mapping lives as long as the process */
}

static napi_value arena_view(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  napi_value result = NULL;
  void *at = mh_base + (uint64_t)number(&c, 0);
  if (napi_create_external_arraybuffer(env, at, (size_t)number(&c, 1), not_ours, NULL, &result) != napi_ok)
    napi_throw_error(env, NULL, "external ArrayBuffers are not allowed here");
  return result;
}

static napi_value arena_punch(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "fallocate", mh_arena_punch((uint64_t)number(&c, 0), (uint64_t)number(&c, 1)));
}

static napi_value arena_resident(napi_env env, napi_callback_info info) {
  (void)info;
  return result_or_throw(env, "fstat", mh_arena_resident());
}

static napi_value arena_fd(napi_env env, napi_callback_info info) {
  (void)info;
  return result_number(env, mh_arena_fd());
}

static napi_value arena_bytes(napi_env env, napi_callback_info info) {
  (void)info;
  return result_number(env, (double)mh_arena_bytes());
}

/* ── waiting and waking ── */

static bool is_main_thread(void) { return syscall(SYS_gettid) == getpid(); }

/* → the calling thread's participant index */
static napi_value join(napi_env env, napi_callback_info info) {
  (void)info;
  return result_number(env, mh_loop_join(loop_of(env)));
}

/* The longest that a Worker sleeps at a stretch, ms: V8 ends a terminated one when it is back in JavaScript, and not before. */
#define LONGEST_SLEEP 250

/* (word, expected, timeout) → 0 woken, or for no reason, 1 the word had changed, 2 time ran out */
static napi_value futex_wait(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  double timeout = number(&c, 2);
  bool whole = is_main_thread() || (timeout >= 0 && timeout <= LONGEST_SLEEP);
  int result = mh_futex_wait(word(&c, 0), (uint32_t)(int64_t)number(&c, 1), whole ? timeout : LONGEST_SLEEP);
  if (result == -EAGAIN) return result_number(env, 1);
  if (result == -ETIMEDOUT) return result_number(env, whole ? 2 : 0);
  return result_or_throw(env, "futex", result);
}

static napi_value futex_wake(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "futex", mh_futex_wake(word(&c, 0), (int)number(&c, 1)));
}

static napi_value ring(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_number(env, mh_ring((uint32_t)number(&c, 0), (uint32_t)number(&c, 1)));
}

static napi_value ring_all(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  mh_ring_all((uint32_t)number(&c, 0));
  return NULL;
}

static napi_value tell_death(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  mh_tell_death((uint32_t)number(&c, 0));
  return NULL;
}

static napi_value drop_bells(napi_env env, napi_callback_info info) {
  (void)env, (void)info;
  mh_drop_bells();
  return NULL;
}

static napi_value bell_open(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "pipe", mh_loop_open_bell(loop_of(env), (uint32_t)number(&c, 0), c.args[1]));
}

static napi_value bell_close(napi_env env, napi_callback_info info) {
  (void)info;
  mh_loop_close_bell(loop_of(env));
  return NULL;
}

static napi_value bell_hold(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  mh_loop_hold(loop_of(env), (int)number(&c, 0));
  return NULL;
}

/* ── processes ── */

static napi_value serve(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  int process = mh_serve((int)number(&c, 0), (int)number(&c, 1), (pid_t)number(&c, 2), number(&c, 3) != 0);
  if (process >= 0) {
    int result = mh_loop_after_fork(loop_of(env));
    if (result < 0) return result_or_throw(env, "uv_loop_fork", result);
  }
  return result_or_throw(env, "fork", process);
}

/* counted → 0 in the child, its pid in the parent */
static napi_value fork_self(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "fork", mh_fork(mh_loop_uv(loop_of(env)), number(&c, 0) != 0));
}

static napi_value can_leave(napi_env env, napi_callback_info info) {
  napi_value result = NULL;
  (void)info;
  napi_get_boolean(env, mh_can_leave(), &result);
  return result;
}

/* More sockets than anybody passes to one process; of others no account is taken. */
#define MAX_KEPT 1024

/* (listener, descriptors[]) */
static napi_value leave(napi_env env, napi_callback_info info) {
  static int kept[MAX_KEPT];
  struct call c = open_call(env, info);
  uint32_t count = 0;
  napi_get_array_length(env, c.args[1], &count);
  if (count > MAX_KEPT) count = MAX_KEPT;
  for (uint32_t i = 0; i < count; i++) {
    napi_value element;
    napi_get_element(env, c.args[1], i, &element);
    napi_get_value_int32(env, element, &kept[i]);
  }
  return result_or_throw(env, "uv_idle_start", mh_leave(loop_of(env), env, c.args[0], kept, count));
}

static napi_value terminate(napi_env env, napi_callback_info info) {
  (void)env, (void)info;
  mh_terminate();
  return NULL;
}

static napi_value run_all(napi_env env, napi_callback_info info) {
  (void)info;
  mh_run_all(mh_loop_uv(loop_of(env)));
  return NULL;
}

static napi_value run_loop(napi_env env, napi_callback_info info) {
  (void)info;
  for (;;) uv_run(mh_loop_uv(loop_of(env)), UV_RUN_DEFAULT);
  return NULL;
}

static napi_value take_record(napi_env env, napi_callback_info info) {
  (void)info;
  return result_number(env, mh_take_record());
}

/* Returns how many runs of pages there are. */
static napi_value tell_pages(napi_env env, napi_callback_info info) {
  (void)info;
  return result_or_throw(env, "read /proc/self/pagemap", mh_tell_pages(mh_rehearsal_pipe));
}

static napi_value request(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  int fds[2] = {(int)number(&c, 2), (int)number(&c, 3)};
  return result_or_throw(env, "sendmsg", mh_request((int)number(&c, 0), (uint32_t)number(&c, 1), fds, c.count > 2 ? 2 : 0));
}

static napi_value pair(napi_env env, int result, const char *call, const int fds[2]) {
  napi_value array;
  if (result < 0) return result_or_throw(env, call, -errno);
  napi_create_array_with_length(env, 2, &array);
  napi_set_element(env, array, 0, result_number(env, fds[0]));
  napi_set_element(env, array, 1, result_number(env, fds[1]));
  return array;
}

static napi_value socket_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int fds[2];
  return pair(env, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), "socketpair", fds);
}

static napi_value pipe_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int fds[2];
  return pair(env, pipe2(fds, O_CLOEXEC), "pipe", fds);
}

static napi_value close_fd(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "close", close((int)number(&c, 0)) < 0 ? -errno : 0);
}

/* (from, to) */
static napi_value duplicate(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "dup2", dup2((int)number(&c, 0), (int)number(&c, 1)) < 0 ? -errno : 0);
}

static napi_value set_cloexec(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "fcntl", fcntl((int)number(&c, 0), F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0);
}

/* pid of the parent → nothing; does not return if that has ended */
static napi_value end_with_parent(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "prctl", mh_end_with_parent((pid_t)number(&c, 0)));
}

/* (pid, tag) */
static napi_value watch_child(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "pthread_create", mh_watch_child((pid_t)number(&c, 0), (uint32_t)number(&c, 1)));
}

/* pid of the parent */
static napi_value watch_parent(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "pthread_create", mh_watch_parent((pid_t)number(&c, 0)));
}

/* fd → is nobody left at the other end? */
static napi_value is_hung_up(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  struct pollfd p = {(int)number(&c, 0), 0, 0};
  return result_number(env, poll(&p, 1, 0) > 0);
}

static napi_value bury(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  (void)env;
  mh_bury((pid_t)number(&c, 0));
  mh_watch_orphans();
  return NULL;
}

/* pid → [state letter, parent, start time, nice, threads, wait status], or undefined when there is no such process */
static napi_value process_stat(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  struct mh_stat stat;
  int result = mh_process_stat((pid_t)number(&c, 0), &stat);
  if (result == -ESRCH) return NULL;
  if (result < 0) return result_or_throw(env, "read /proc/PID/stat", result);
  napi_value array, letter;
  napi_create_array_with_length(env, 6, &array);
  napi_create_string_latin1(env, &stat.state, 1, &letter);
  napi_set_element(env, array, 0, letter);
  napi_set_element(env, array, 1, result_number(env, stat.parent));
  napi_set_element(env, array, 2, result_number(env, (double)stat.start));
  napi_set_element(env, array, 3, result_number(env, (double)stat.nice));
  napi_set_element(env, array, 4, result_number(env, (double)stat.threads));
  napi_set_element(env, array, 5, result_number(env, stat.status));
  return array;
}

/* pid → ms */
static napi_value cpu_time(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  int64_t nanoseconds = mh_cpu_time((pid_t)number(&c, 0));
  if (nanoseconds < 0) return result_or_throw(env, "clock_gettime", nanoseconds);
  return result_number(env, (double)nanoseconds / 1e6);
}

/* 52 random bits from the kernel. Node's own generator takes 2 ms at its first use after a fork. */
static napi_value random_bits(napi_env env, napi_callback_info info) {
  (void)info;
  uint64_t bits = 0;
  if (getrandom(&bits, sizeof bits, 0) != sizeof bits) return result_or_throw(env, "getrandom", -errno);
  return result_number(env, (double)(bits >> 12));
}

static napi_value process_id(napi_env env, napi_callback_info info) {
  (void)info;
  return result_number(env, getpid());
}

static napi_value thread_id(napi_env env, napi_callback_info info) {
  (void)info;
  return result_number(env, (double)syscall(SYS_gettid));
}

/* (pid, cpus[]) */
static napi_value set_affinity(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  cpu_set_t set;
  uint32_t length = 0;
  CPU_ZERO(&set);
  napi_get_array_length(env, c.args[1], &length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    uint32_t cpu = 0;
    napi_get_element(env, c.args[1], i, &element);
    napi_get_value_uint32(env, element, &cpu);
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  }
  return result_or_throw(env, "sched_setaffinity", sched_setaffinity((pid_t)number(&c, 0), sizeof set, &set) < 0 ? -errno : 0);
}

static napi_value get_affinity(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  cpu_set_t set;
  if (sched_getaffinity((pid_t)number(&c, 0), sizeof set, &set) < 0) return result_or_throw(env, "sched_getaffinity", -errno);
  napi_value array;
  uint32_t length = 0;
  napi_create_array(env, &array);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &set)) napi_set_element(env, array, length++, result_number(env, cpu));
  return array;
}

static napi_value limit_heap(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "dlsym", mh_limit_heap((uint32_t)number(&c, 0), (uint64_t)number(&c, 1)));
}

static napi_value limit_cpu(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "timer_create", mh_limit_cpu((uint32_t)number(&c, 0), number(&c, 1)));
}

/* (pid, timeout, reap) → raw wait status, or −1 when it still runs. */
static napi_value await_exit(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  int64_t status = mh_await_exit((pid_t)number(&c, 0), number(&c, 1), number(&c, 2) != 0);
  if (status == -ETIMEDOUT) return result_number(env, -1);
  return result_or_throw(env, "waitid", status);
}

/* → pid of a child that has ended, 0: none */
static napi_value ended_child(napi_env env, napi_callback_info info) {
  (void)info;
  return result_number(env, mh_ended_child());
}

/* (Int32Array of pids, timeout) */
static napi_value await_any(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  void *pids = NULL;
  size_t count = 0;
  if (napi_get_typedarray_info(env, c.args[0], NULL, &count, &pids, NULL, NULL) == napi_ok && count > 0)
    mh_await_any(pids, count, (int)number(&c, 1));
  return NULL;
}

static napi_value on_child(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "uv_signal_start", mh_loop_on_child(loop_of(env), c.args[0]));
}

/* (pid, listener) → 1, or 0 when there is no such process */
static napi_value watch_process(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  int result = mh_loop_watch(loop_of(env), (pid_t)number(&c, 0), c.args[1]);
  return result == -ESRCH ? result_number(env, 0) : result_or_throw(env, "pidfd_open", result < 0 ? result : 1);
}

static napi_value drop_watches(napi_env env, napi_callback_info info) {
  (void)info;
  mh_loop_drop_watches(loop_of(env));
  return NULL;
}

static napi_value hold_children(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  mh_loop_hold_children(loop_of(env), (int)number(&c, 0));
  return NULL;
}

/*
 * The descriptor by which this process asks its fork server, −1: none. An argument takes its place, under its number if there is
 * one: other threads may be about to use that. −1 forgets it.
 */
static napi_value client_fd(napi_env env, napi_callback_info info) {
  static int client = -1;
  struct call c = open_call(env, info);
  if (c.count > 0) {
    int given = (int)number(&c, 0), none = -1;
    if (given < 0)
      __atomic_store_n(&client, -1, __ATOMIC_SEQ_CST);
    else if (!__atomic_compare_exchange_n(&client, &none, given, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) && none != given) {
      dup3(given, none, O_CLOEXEC);
      close(given);
    }
  }
  return result_number(env, __atomic_load_n(&client, __ATOMIC_SEQ_CST));
}

static napi_value on_loop_end(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "uv_prepare_start", mh_loop_on_end(loop_of(env), c.args[0]));
}

static napi_value exit_now(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  _exit((int)number(&c, 0));
}

/* (fd, Uint8Array) */
static napi_value write_all(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  void *bytes = NULL;
  size_t length = 0;
  napi_get_typedarray_info(env, c.args[1], NULL, &length, &bytes, NULL, NULL);
  return result_or_throw(env, "write", mh_write_all((int)number(&c, 0), bytes, length));
}

/* A string argument; what is longer is cut, which TypeScript has seen to. */
#define MAX_STRING 256
static const char *string(const struct call *c, size_t i, char text[MAX_STRING]) {
  size_t length = 0;
  text[0] = '\0';
  if (i < c->count) napi_get_value_string_utf8(c->env, c->args[i], text, MAX_STRING, &length);
  return text;
}

/* An array of strings, and NULL last; NULL itself: there is no memory. What is allocated is not freed. */
static char **strings(napi_env env, napi_value array) {
  uint32_t count = 0;
  napi_get_array_length(env, array, &count);
  char **all = calloc((size_t)count + 1, sizeof *all);
  for (uint32_t i = 0; all && i < count; i++) {
    napi_value element;
    size_t length = 0;
    napi_get_element(env, array, i, &element);
    napi_get_value_string_utf8(env, element, NULL, 0, &length);
    if (!(all[i] = malloc(length + 1))) return NULL;
    napi_get_value_string_utf8(env, element, all[i], length + 1, &length);
  }
  return all;
}

/* (program, arguments, environment, fds): does not return unless it fails. Descriptors below `fds` stay open. */
static napi_value execute(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  char **arguments = strings(env, c.args[1]), **environment = strings(env, c.args[2]);
  char program[PATH_MAX];
  size_t length = 0;
  napi_get_value_string_utf8(env, c.args[0], program, sizeof program, &length);
  if (!arguments || !environment) return result_or_throw(env, "execve", -ENOMEM);
  for (int fd = 0; fd < (int)number(&c, 3); fd++) fcntl(fd, F_SETFD, 0);
  execve(program, arguments, environment);
  return result_or_throw(env, "execve", -errno);
}

/* ── named memory ── */

static void close_guarded(void *fd) { close((int)(intptr_t)fd); }

/* The descriptor is closed when its thread ends, however that ends, if not by closeGuarded() before. */
static napi_value guarded(napi_env env, const char *call, int fd) {
  if (fd >= 0) {
    /* Should somebody have closed that number behind our back, it is guarded already; Node ends a process that adds twice. */
    napi_remove_env_cleanup_hook(env, close_guarded, (void *)(intptr_t)fd);
    napi_add_env_cleanup_hook(env, close_guarded, (void *)(intptr_t)fd);
  }
  return result_or_throw(env, call, fd);
}

static napi_value open_guarded(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  char path[MAX_STRING];
  int fd = open(string(&c, 0, path), (int)number(&c, 1) | O_CLOEXEC);
  return guarded(env, "open", fd < 0 ? -errno : fd);
}

static napi_value close_guarded_fd(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  int fd = (int)number(&c, 0);
  napi_remove_env_cleanup_hook(env, close_guarded, (void *)(intptr_t)fd);
  return result_or_throw(env, "close", close(fd) < 0 ? -errno : 0);
}

static napi_value file_join(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "fcntl", mh_file_join((int)number(&c, 0), (uint32_t)number(&c, 1)));
}

static napi_value memory_create(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  char name[MAX_STRING];
  return guarded(env, "memfd_create", mh_memory_create(string(&c, 0, name), (uint64_t)number(&c, 1)));
}

static void unmap(napi_env env, void *base, void *bytes) {
  (void)env;
  munmap(base, (size_t)(uintptr_t)bytes);
}

/* (fd, size[, offset, bytes]) */
static napi_value memory_map(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  uint64_t size = (uint64_t)number(&c, 1);
  size_t bytes = c.count > 3 ? (size_t)number(&c, 3) : (size_t)size;
  napi_value result = NULL;
  void *base = NULL;
  int error = mh_memory_map((int)number(&c, 0), size, (uint64_t)number(&c, 2), bytes, &base);
  if (error < 0) return result_or_throw(env, "mmap", error);
  if (napi_create_external_arraybuffer(env, base, bytes, unmap, (void *)(uintptr_t)bytes, &result) != napi_ok) {
    munmap(base, bytes);
    napi_throw_error(env, NULL, "external ArrayBuffers are not allowed here");
  }
  return result;
}

static napi_value memory_punch(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "fallocate", mh_memory_punch((int)number(&c, 0), (uint64_t)number(&c, 1), (uint64_t)number(&c, 2)));
}

static napi_value name_bind(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  char name[MAX_STRING];
  return guarded(env, "bind", mh_name_bind(string(&c, 0, name)));
}

/* name → [pid, uid], or undefined when nobody holds it, or too many ask */
static napi_value name_holder(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  char name[MAX_STRING];
  struct mh_holder holder;
  int result = mh_name_holder(string(&c, 0, name), &holder);
  if (result == -ECONNREFUSED || result == -EAGAIN) return NULL;
  if (result < 0) return result_or_throw(env, "connect", result);
  napi_value array;
  napi_create_array_with_length(env, 2, &array);
  napi_set_element(env, array, 0, result_number(env, holder.pid));
  napi_set_element(env, array, 1, result_number(env, holder.uid));
  return array;
}

/* ── segments ── */

/* A mapping that a buffer shows. Known to the buffer as an object and to its memory, which may be collected one after the other. */
struct mapping {
  void *base; /* NULL: unmapped already */
  size_t bytes;
  int users;
};

static void leave_mapping(struct mapping *mapping) {
  if (--mapping->users == 0) free(mapping);
}

static void unmap_segment(struct mapping *mapping) {
  if (mapping->base) munmap(mapping->base, mapping->bytes);
  mapping->base = NULL;
}

static void segment_memory_gone(napi_env env, void *base, void *mapping) {
  (void)env, (void)base;
  unmap_segment(mapping);
  leave_mapping(mapping);
}

static void segment_buffer_gone(napi_env env, void *mapping, void *hint) {
  (void)env, (void)hint;
  leave_mapping(mapping);
}

/* → [ArrayBuffer, inode] */
static napi_value segment_or_throw(napi_env env, const char *call, int error, const struct mh_segment *segment) {
  if (error < 0) return result_or_throw(env, call, error);
  struct mapping *mapping = malloc(sizeof *mapping);
  napi_value buffer, array;
  if (!mapping) {
    munmap(segment->base, (size_t)segment->bytes);
    return result_or_throw(env, call, -ENOMEM);
  }
  *mapping = (struct mapping){segment->base, (size_t)segment->bytes, 1};
  if (napi_create_external_arraybuffer(env, mapping->base, mapping->bytes, segment_memory_gone, mapping, &buffer) != napi_ok) {
    unmap_segment(mapping);
    leave_mapping(mapping);
    napi_throw_error(env, NULL, "external ArrayBuffers are not allowed here");
    return NULL;
  }
  if (napi_wrap(env, buffer, mapping, segment_buffer_gone, NULL, NULL) == napi_ok) mapping->users++;
  napi_create_array_with_length(env, 2, &array);
  napi_set_element(env, array, 0, buffer);
  napi_set_element(env, array, 1, result_number(env, (double)segment->inode));
  return array;
}

/* (name, bytes) */
static napi_value segment_create(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  char name[MAX_STRING];
  struct mh_segment segment = {.most = UINT64_MAX};
  int error = mh_segment_create(string(&c, 0, name), (uint64_t)number(&c, 1), &segment);
  return segment_or_throw(env, "open", error, &segment);
}

/* (name, most bytes) */
static napi_value segment_open(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  char name[MAX_STRING];
  struct mh_segment segment = {.most = (uint64_t)number(&c, 1)};
  return segment_or_throw(env, "open", mh_segment_open(string(&c, 0, name), &segment), &segment);
}

/* (ArrayBuffer): unmaps it now. Nobody reaches the memory any more, as the buffer has no bytes from then on. */
static napi_value segment_close(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  void *mapping = NULL;
  if (napi_detach_arraybuffer(env, c.args[0]) != napi_ok) return result_or_throw(env, "munmap", -EBUSY);
  if (napi_unwrap(env, c.args[0], &mapping) == napi_ok) unmap_segment(mapping);
  return NULL;
}

/* (name, inode) */
static napi_value segment_remove(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  char name[MAX_STRING];
  uint64_t inode = (uint64_t)number(&c, 1);
  int error = mh_segment_remove(string(&c, 0, name), inode);
  if (error == 0 && mh_base) mh_janitor_tell(MH_JANITOR_DROP, inode, name);
  return result_or_throw(env, "unlink", error);
}

/* (Int32Array, index, …): a word of mapped memory. NULL: there is none. */
static uint32_t *word_in(const struct call *c) {
  void *data = NULL;
  size_t length = 0;
  uint32_t index = (uint32_t)number(c, 1);
  if (napi_get_typedarray_info(c->env, c->args[0], NULL, &length, &data, NULL, NULL) != napi_ok || index >= length) return NULL;
  return (uint32_t *)data + index;
}

/* (words, index, expected, timeout) → as futex_wait */
static napi_value futex_wait_in(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  uint32_t *at = word_in(&c);
  int result = at ? mh_futex_wait(at, (uint32_t)(int64_t)number(&c, 2), number(&c, 3)) : -EFAULT;
  if (result == -EAGAIN) return result_number(env, 1);
  if (result == -ETIMEDOUT) return result_number(env, 2);
  return result_or_throw(env, "futex", result);
}

static napi_value futex_wake_in(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  uint32_t *at = word_in(&c);
  return result_or_throw(env, "futex", at ? mh_futex_wake(at, (int)number(&c, 2)) : -EFAULT);
}

/* ── sockets ── */

/* Bytes are the path of a Unix socket, or an abstract name after a NUL; a string is an IP address, and the port follows it. */
static int address(const struct call *c, size_t i, struct mh_address *address) {
  void *path = NULL;
  size_t length = 0;
  char host[MAX_STRING];
  if (napi_get_typedarray_info(c->env, c->args[i], NULL, &length, &path, NULL, NULL) == napi_ok)
    return mh_address_unix(path, length, address);
  return mh_address_ip(string(c, i, host), (unsigned)number(c, i + 1), address);
}

/* (address, port, backlog) → descriptor */
static napi_value socket_listen(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  struct mh_address at;
  int result = address(&c, 0, &at);
  if (result == 0) result = mh_socket_listen(&at, (int)number(&c, 2));
  return result_or_throw(env, "bind", result);
}

/* (address, port) → descriptor */
static napi_value socket_connect(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  struct mh_address at;
  int result = address(&c, 0, &at);
  if (result == 0) result = mh_socket_connect(&at);
  return result_or_throw(env, "connect", result);
}

/* fd → nothing; throws what became of connecting */
static napi_value socket_check(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "connect", mh_socket_error((int)number(&c, 0)));
}

/* fd → descriptor, or negative */
static napi_value socket_accept(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_number(env, mh_socket_accept((int)number(&c, 0)));
}

/* (fd, peer) → [host, port], or undefined for a Unix socket, and when there is none any more */
static napi_value socket_address(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  char host[MH_HOST_BYTES];
  unsigned port = 0;
  napi_value array, text;
  if (mh_socket_address((int)number(&c, 0), number(&c, 1) != 0, host, &port) < 0) return NULL;
  napi_create_array_with_length(env, 2, &array);
  napi_create_string_utf8(env, host, NAPI_AUTO_LENGTH, &text);
  napi_set_element(env, array, 0, text);
  napi_set_element(env, array, 1, result_number(env, port));
  return array;
}

/* (fd, bytes, from, to): the part of the bytes that is meant. NULL: there is none. */
static uint8_t *part(const struct call *c, size_t *length) {
  void *data = NULL;
  size_t all = 0, from = (size_t)number(c, 2), to = (size_t)number(c, 3);
  if (napi_get_typedarray_info(c->env, c->args[1], NULL, &all, &data, NULL, NULL) != napi_ok || to > all || from > to) return NULL;
  *length = to - from;
  return (uint8_t *)data + from;
}

/* (fd, bytes, from, to) → how many, or negative */
static napi_value socket_send(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  size_t length = 0;
  uint8_t *bytes = part(&c, &length);
  return result_number(env, bytes ? (double)mh_socket_send((int)number(&c, 0), bytes, length) : -EFAULT);
}

/* (fd, bytes, from, to) → how many, or negative */
static napi_value socket_receive(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  size_t length = 0;
  uint8_t *bytes = part(&c, &length);
  return result_number(env, bytes ? (double)mh_socket_receive((int)number(&c, 0), bytes, length) : -EFAULT);
}

/* (fd, wanted, timeout) → what it is, or negative */
static napi_value socket_await(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  double timeout = number(&c, 2), longest = is_main_thread() ? INT_MAX : LONGEST_SLEEP;
  int whole = timeout >= 0 && timeout < longest ? (int)ceil(timeout) : (int)longest;
  return result_number(env, mh_loop_await_socket(loop_of(env), (int)number(&c, 0), (int)number(&c, 1), whole));
}

/* (fd, listener) */
static napi_value socket_watch(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "uv_poll_init", mh_loop_watch_socket(loop_of(env), (int)number(&c, 0), c.args[1]));
}

/* (fd, wanted, hold) */
static napi_value socket_want(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "uv_poll_start", mh_loop_want(loop_of(env), (int)number(&c, 0), (int)number(&c, 1), number(&c, 2) != 0));
}

static napi_value socket_close(napi_env env, napi_callback_info info) {
  struct call c = open_call(env, info);
  return result_or_throw(env, "close", mh_loop_close_socket(loop_of(env), (int)number(&c, 0)));
}

/* ── the module ── */

static void set_number(napi_env env, napi_value object, const char *name, double value) {
  napi_set_named_property(env, object, name, result_number(env, value));
}

static napi_value layout(napi_env env) {
  napi_value object;
  napi_create_object(env, &object);
  set_number(env, object, "pageBytes", MH_PAGE_BYTES);
  set_number(env, object, "lowBytes", MH_LOW_BYTES);
  set_number(env, object, "maxParticipants", MH_MAX_PARTICIPANTS);
  set_number(env, object, "maxProcesses", MH_MAX_PROCESSES);
  set_number(env, object, "maxBuckets", MH_MAX_BUCKETS);
  set_number(env, object, "rehearsal", MH_REHEARSAL);
  set_number(env, object, "reserve", MH_RESERVE);
  set_number(env, object, "participantsOffset", MH_PARTICIPANTS_OFFSET);
  set_number(env, object, "participantBytes", sizeof(struct mh_participant));
  set_number(env, object, "processesOffset", MH_PROCESSES_OFFSET);
  set_number(env, object, "processBytes", sizeof(struct mh_process));
  set_number(env, object, "bucketsOffset", MH_BUCKETS_OFFSET);
  set_number(env, object, "pagesOffset", MH_PAGES_OFFSET);
  set_number(env, object, "pageRecordBytes", MH_PAGE_RECORD_BYTES);
  set_number(env, object, "allocatorOffset", offsetof(struct mh_header, allocator));
  set_number(env, object, "waitingOffset", offsetof(struct mh_header, waiting));
  set_number(env, object, "syncOffset", offsetof(struct mh_header, sync));
  set_number(env, object, "authkeyOffset", offsetof(struct mh_header, authkey));
  return object;
}

#define FUNCTION(name, function) {name, NULL, function, NULL, NULL, NULL, napi_enumerable, NULL}

NAPI_MODULE_INIT() {
  napi_property_descriptor properties[] = {
      FUNCTION("arenaCreate", arena_create),
      FUNCTION("arenaMap", arena_map),
      FUNCTION("arenaView", arena_view),
      FUNCTION("arenaPunch", arena_punch),
      FUNCTION("arenaResident", arena_resident),
      FUNCTION("arenaFd", arena_fd),
      FUNCTION("arenaBytes", arena_bytes),
      FUNCTION("join", join),
      FUNCTION("futexWait", futex_wait),
      FUNCTION("futexWake", futex_wake),
      FUNCTION("ring", ring),
      FUNCTION("ringAll", ring_all),
      FUNCTION("tellDeath", tell_death),
      FUNCTION("dropBells", drop_bells),
      FUNCTION("bellOpen", bell_open),
      FUNCTION("bellClose", bell_close),
      FUNCTION("bellHold", bell_hold),
      FUNCTION("serve", serve),
      FUNCTION("fork", fork_self),
      FUNCTION("canLeave", can_leave),
      FUNCTION("leave", leave),
      FUNCTION("terminate", terminate),
      FUNCTION("runAll", run_all),
      FUNCTION("runLoop", run_loop),
      FUNCTION("tellPages", tell_pages),
      FUNCTION("takeRecord", take_record),
      FUNCTION("request", request),
      FUNCTION("socketPair", socket_pair),
      FUNCTION("pipe", pipe_pair),
      FUNCTION("close", close_fd),
      FUNCTION("setCloexec", set_cloexec),
      FUNCTION("duplicate", duplicate),
      FUNCTION("bury", bury),
      FUNCTION("watchChild", watch_child),
      FUNCTION("watchParent", watch_parent),
      FUNCTION("isHungUp", is_hung_up),
      FUNCTION("processStat", process_stat),
      FUNCTION("cpuTime", cpu_time),
      FUNCTION("randomBits", random_bits),
      FUNCTION("processId", process_id),
      FUNCTION("threadId", thread_id),
      FUNCTION("setAffinity", set_affinity),
      FUNCTION("endWithParent", end_with_parent),
      FUNCTION("getAffinity", get_affinity),
      FUNCTION("limitHeap", limit_heap),
      FUNCTION("limitCpu", limit_cpu),
      FUNCTION("awaitExit", await_exit),
      FUNCTION("endedChild", ended_child),
      FUNCTION("awaitAny", await_any),
      FUNCTION("onChild", on_child),
      FUNCTION("holdChildren", hold_children),
      FUNCTION("watchProcess", watch_process),
      FUNCTION("dropWatches", drop_watches),
      FUNCTION("execute", execute),
      FUNCTION("client", client_fd),
      FUNCTION("onLoopEnd", on_loop_end),
      FUNCTION("exit", exit_now),
      FUNCTION("writeAll", write_all),
      FUNCTION("openGuarded", open_guarded),
      FUNCTION("closeGuarded", close_guarded_fd),
      FUNCTION("fileJoin", file_join),
      FUNCTION("memoryCreate", memory_create),
      FUNCTION("memoryMap", memory_map),
      FUNCTION("memoryPunch", memory_punch),
      FUNCTION("nameBind", name_bind),
      FUNCTION("nameHolder", name_holder),
      FUNCTION("segmentCreate", segment_create),
      FUNCTION("segmentOpen", segment_open),
      FUNCTION("segmentClose", segment_close),
      FUNCTION("segmentRemove", segment_remove),
      FUNCTION("futexWaitIn", futex_wait_in),
      FUNCTION("futexWakeIn", futex_wake_in),
      FUNCTION("socketListen", socket_listen),
      FUNCTION("socketConnect", socket_connect),
      FUNCTION("socketCheck", socket_check),
      FUNCTION("socketAccept", socket_accept),
      FUNCTION("socketAddress", socket_address),
      FUNCTION("socketSend", socket_send),
      FUNCTION("socketReceive", socket_receive),
      FUNCTION("socketAwait", socket_await),
      FUNCTION("socketWatch", socket_watch),
      FUNCTION("socketWant", socket_want),
      FUNCTION("socketClose", socket_close),
  };
  struct mh_loop *loop = mh_loop_new(env);
  if (!loop || napi_set_instance_data(env, loop, NULL, NULL) != napi_ok) {
    napi_throw_error(env, NULL, "Cannot load manyhands: no event loop in this environment");
    return NULL;
  }
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
  napi_set_named_property(env, exports, "layout", layout(env));
  return exports;
}
