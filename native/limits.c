/* Limits of a process that its starter is told of: of V8's heap, and of CPU time. */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core.h"

/* The record of a process, and that process: what it forks by itself has none. */
static struct mh_process *own;
static pid_t owner;

static void adopt(uint32_t process) {
  own = mh_process(process);
  owner = getpid();
}

static void tell(uint32_t flag) {
  if (getpid() == owner) __atomic_fetch_or(&own->flags, flag, __ATOMIC_SEQ_CST);
}

/*
 * Node exports the C++ functions of V8; these are called as C would. Their names tell their types:
 *   v8::Isolate::GetCurrent()
 *   v8::Isolate::AddNearHeapLimitCallback(size_t (*)(void *, size_t, size_t), void *)
 *   v8::Isolate::RemoveNearHeapLimitCallback(size_t (*)(void *, size_t, size_t), size_t)
 *   v8::Isolate::SetOOMErrorHandler(void (*)(char const *, v8::OOMDetails const &))
 *   node::OOMErrorHandler(char const *, v8::OOMDetails const &)
 */
#define GET_CURRENT "_ZN2v87Isolate10GetCurrentEv"
#define ADD_CALLBACK "_ZN2v87Isolate24AddNearHeapLimitCallbackEPFmPvmmES1_"
#define REMOVE_CALLBACK "_ZN2v87Isolate27RemoveNearHeapLimitCallbackEPFmPvmmEm"
#define SET_HANDLER "_ZN2v87Isolate18SetOOMErrorHandlerEPFvPKcRKNS_10OOMDetailsEE"
#define NODES_HANDLER "_ZN4node15OOMErrorHandlerEPKcRKN2v810OOMDetailsE"

typedef size_t near_limit(void *data, size_t limit, size_t first_limit);
/* What v8::OOMDetails begins with. */
struct details {
  bool is_heap;
};
typedef void handler(const char *place, const struct details *details);

static struct {
  void *(*current)(void);
  void (*add)(void *isolate, near_limit *callback, void *data);
  void (*remove)(void *isolate, near_limit *callback, size_t limit);
  void (*set_handler)(void *isolate, handler *to);
  handler *nodes_handler;
} v8;

static bool find_v8(void) {
  if (v8.current) return true;
  *(void **)&v8.add = dlsym(RTLD_DEFAULT, ADD_CALLBACK);
  *(void **)&v8.remove = dlsym(RTLD_DEFAULT, REMOVE_CALLBACK);
  *(void **)&v8.set_handler = dlsym(RTLD_DEFAULT, SET_HANDLER);
  *(void **)&v8.nodes_handler = dlsym(RTLD_DEFAULT, NODES_HANDLER);
  if (!v8.add || !v8.remove || !v8.set_handler || !v8.nodes_handler) return false;
  *(void **)&v8.current = dlsym(RTLD_DEFAULT, GET_CURRENT);
  return v8.current != NULL;
}

static size_t raise_limit(void *data, size_t limit, size_t first_limit) {
  size_t wanted = (size_t)(uintptr_t)data;
  (void)first_limit;
  return wanted > limit ? wanted : limit;
}

/* V8 has no room left, and does not come back from this: Node reports on stderr, and aborts. */
static void out_of_memory(const char *place, const struct details *details) {
  if (details->is_heap) tell(MH_PROCESS_OUT_OF_HEAP);
  v8.nodes_handler(place, details);
  abort();
}

/*
 * Has V8 tell record `process` if the heap of the calling thread, the main one, grows too large; and if `bytes` is not 0, that is
 * when its old generation does not do with as many. V8 gave it a limit at birth. Taking a callback away can lower that; a
 * callback that V8 calls near the limit can raise it. -ENOSYS: this Node does not let us.
 */
int mh_limit_heap(uint32_t process, uint64_t bytes) {
  if (!find_v8()) return -ENOSYS;
  void *isolate = v8.current();
  adopt(process);
  v8.set_handler(isolate, out_of_memory);
  if (bytes == 0) return 0;
  void *data = (void *)(uintptr_t)bytes;
  v8.add(isolate, raise_limit, data);
  v8.remove(isolate, raise_limit, (size_t)bytes);
  v8.add(isolate, raise_limit, data);
  return 0;
}

#define GRACE 1 /* s of CPU time that a process has to end in, once it has been asked to */

static void out_of_time(int signal) {
  static bool asked;
  (void)signal;
  tell(MH_PROCESS_OUT_OF_TIME);
  kill(getpid(), asked ? SIGKILL : SIGXCPU);
  asked = true;
}

static struct timespec of_ms(double ms) {
  struct timespec time = {(time_t)(ms / 1e3), 0};
  time.tv_nsec = (long)((ms - (double)time.tv_sec * 1e3) * 1e6);
  return time;
}

/*
 * Sends this process, process record `process`, SIGXCPU when it has used `ms` of CPU time from now on, and SIGKILL a second of
 * CPU time later. Both come by a signal of our own, whose handler tells the record why. The C library has timer_create()
 * in a library of its own, or not, depending on its age: these are the system calls.
 */
int mh_limit_cpu(uint32_t process, double ms) {
  struct sigaction action = {.sa_handler = out_of_time, .sa_flags = SA_RESTART};
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMAX - 1};
  struct itimerspec times = {.it_value = of_ms(ms), .it_interval = {GRACE, 0}};
  int timer;
  adopt(process);
  if (sigaction(event.sigev_signo, &action, NULL) < 0) return -errno;
  if (syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, &event, &timer) < 0) return -errno;
  if (syscall(SYS_timer_settime, timer, 0, &times, NULL) < 0) return -errno;
  return 0;
}
