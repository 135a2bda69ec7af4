/*
 * The fork server: two processes that sleep in the kernel and never run JavaScript.
 *
 *   root ── guardian ── server ── child, child, child …
 *
 * The server forks a child for each request and reaps it. The guardian only watches the server: when that is killed,
 * its children become the guardian's (it is a "child subreaper"), which reaps them in its place and forks a new
 * server from its own, equally warm, image. When the guardian is killed instead, the root makes a new pair, and the
 * old server stays until its last child has ended. Endings are written into the commons, so they outlive both.
 *
 * A request is the number of a process record in the commons (struct mh_process), whose state decides who acts:
 *   REQUESTED → FORKING   one server takes it (a request sent twice is taken once)
 *   FORKING   → RUNNING   by the child, its first act; a starter that lost patience makes it CANCELLED instead
 *   RUNNING   → ENDING    by whoever reaps it: how it ended is written down, should the reaper die
 *   ENDING    → EXITED    by the same, when it has left the process table
 *   FORKING   → REQUESTED by a starter whose server died; that is another attempt, and children of earlier ones give up
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core.h"

struct request {
  uint32_t process;
};

/* Asks for process record `process`. `fds`, if any, become its stdout and stderr. */
int mh_request(int client, uint32_t process, const int *fds, size_t count) {
  struct request request = {process};
  struct iovec part = {&request, sizeof request};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
  } control = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  }
  for (;;) {
    if (sendmsg(client, &message, MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR) return -errno;
  }
}

/* Returns 1 with a request, 0 when there was none. fds are -1 where none came along. */
static int take_request(int socket, struct request *request, int fds[2]) {
  struct iovec part = {request, sizeof *request};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
  } control = {0};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  fds[0] = fds[1] = -1;
  ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
  if (header && header->cmsg_type == SCM_RIGHTS) {
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(header), (count < 2 ? count : 2) * sizeof(int));
  }
  return got == (ssize_t)sizeof *request && request->process < MH_MAX_PROCESSES;
}

/* SIGCHLD as a readable descriptor. */
static int child_events(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void drain(int fd) {
  struct signalfd_siginfo info[8];
  while (read(fd, info, sizeof info) > 0) continue;
}

/* Has this process any child, ended or not? */
static bool childless(void) {
  siginfo_t info;
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

/*
 * The guardian. Returns in a new server when the last one was killed; never otherwise. It waits in waitid(), as its
 * process has threads of Node's that could take a SIGCHLD away.
 */
static void guard(pid_t server) {
  bool over = false;
  for (;;) {
    int status = 0;
    bool known;
    pid_t pid = mh_reap(true, &status, &known);
    if (pid == -ECHILD && over) _exit(0);
    if (pid != server || over) continue;
    over = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (over) continue;
    mh_finish_endings();
    mh_ring_all(MH_REASON_CHILD); /* it may have died before it told of somebody's end */
    mh_have_all_look();
    __atomic_fetch_add(&mh_header()->server_epoch, 1, __ATOMIC_SEQ_CST);
    server = fork();
    if (server == 0) return;
    if (server < 0) _exit(1); /* the root sees it, and makes a new pair */
  }
}

/* Where the child that lives to no purpose tells what pages it came to have. */
int mh_rehearsal_pipe = -1;
#define LONGEST_REHEARSAL 2000 /* ms */

/* Forks that child and hears it out. Returns true in it. */
static bool rehearse(void) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) < 0) return false;
  pid_t pid = fork();
  if (pid == 0) {
    close(fds[0]);
    mh_rehearsal_pipe = fds[1];
    return true;
  }
  close(fds[1]);
  if (pid > 0) {
    mh_hear_pages(fds[0], LONGEST_REHEARSAL);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    mh_bury(pid);
  }
  close(fds[0]);
  return false;
}

/*
 * The reserve: children forked ahead of need, which wait at a pipe for the number of their process record. Whoever reads
 * a number first has it. When the server ends, the pipe does, and so do they. If one of them ends before its time, it may
 * have taken a number with it: then the reserve is given up, and what it was given is forked for afresh; if both
 * come to it, the record's state lets one of them go on.
 */
#define RESERVE 2

/* What goes through the pipe. */
struct task {
  uint32_t record, attempt;
};

static struct {
  int requests, events, lifeline, guarded;
  pid_t guardian;
  int reserve[2];
  int idle; /* in the reserve, as far as is known */
  bool reserving;
  sigset_t mask; /* as it was before the server */
} server;

/*
 * Ctrl-C and a hang-up reach the whole terminal group; a service that is stopped, or a container, may have SIGTERM sent to all of its
 * processes. Server and guardian end when the others have, of whose ends they tell.
 */
static void on_group_signals(void (*action)(int)) {
  signal(SIGINT, action);
  signal(SIGTERM, action);
  signal(SIGQUIT, action);
  signal(SIGHUP, action);
}

/* Makes a process the one that record `p` stands for, unless its starter has turned to another attempt. */
static bool begin(struct mh_process *p, uint32_t attempt) {
  if (mh_load(&p->state) != (attempt << 8 | MH_PROCESS_FORKING)) return false;
  on_group_signals(SIG_DFL); /* first, as its starter may send one as soon as it knows the pid */
  mh_store(&p->guardian, (uint32_t)server.guardian);
  if (!mh_move_with_pid(p, attempt, MH_PROCESS_FORKING, MH_PROCESS_RUNNING, getpid())) {
    on_group_signals(SIG_IGN);
    return false;
  }
  mh_futex_wake(&p->state, INT_MAX);
  if (mh_orphaned(p)) _exit(0);
  prctl(PR_SET_NAME, "node");
  return true;
}

/* A fork, whose child lets go of what is the server's. */
static pid_t fork_child(void) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  close(server.requests);
  close(server.events);
  close(server.lifeline);
  close(server.guarded);
  if (server.reserving) close(server.reserve[1]);
  sigprocmask(SIG_SETMASK, &server.mask, NULL);
  return 0;
}

/* Forks for a record. Returns true in the child. */
static bool fork_for(uint32_t record, uint32_t attempt, const int fds[2]) {
  struct mh_process *p = mh_process(record);
  pid_t pid = fork_child();
  if (pid == 0) {
    if (server.reserving) close(server.reserve[0]);
    if (!begin(p, attempt)) _exit(0);
    for (int i = 0; i < 2; i++) {
      if (fds[i] < 0) continue;
      dup2(fds[i], i + 1);
      close(fds[i]);
    }
    mh_take_pages();
    return true;
  }
  mh_births[record] = (struct mh_birth){pid, attempt};
  if (pid < 0) {
    p->status = (uint32_t)errno;
    mh_move_attempt(p, attempt, MH_PROCESS_FORKING, MH_PROCESS_FAILED);
    mh_futex_wake(&p->state, INT_MAX);
  }
  return false;
}

/* Adds one to the reserve. Returns true in it. */
static bool fork_reserve(void) {
  pid_t pid = fork_child();
  if (pid == 0) {
    prctl(PR_SET_NAME, "mh-reserve");
    mh_take_pages();
    return true;
  }
  if (pid > 0) server.idle++;
  return false;
}

/* In the reserve: waits for its record. */
int mh_take_record(void) {
  for (;;) {
    struct task task;
    ssize_t got = read(server.reserve[0], &task, sizeof task);
    if (got < 0 && errno == EINTR) continue;
    if (got != (ssize_t)sizeof task) {
      mh_bury(getpid()); /* the server may be gone, and its guardian */
      _exit(0);
    }
    if (!begin(mh_process(task.record), task.attempt)) continue;
    close(server.reserve[0]);
    return (int)task.record;
  }
}

static void open_reserve(void) {
  server.idle = 0;
  server.reserving = pipe2(server.reserve, O_CLOEXEC) == 0;
}

static void close_reserve(void) {
  if (!server.reserving) return;
  close(server.reserve[0]);
  close(server.reserve[1]);
  server.reserving = false;
}

/* How often to look after what the root has spawned when the root is gone, ms. */
#define LOOK_AFTER_ORPHANS 50

/* Takes up a request. Returns true in a child made for it. */
static bool start(uint32_t record, const int fds[2]) {
  struct task task = {record, MH_ATTEMPT(mh_load(&mh_process(record)->state))};
  if (!mh_move_attempt(mh_process(record), task.attempt, MH_PROCESS_REQUESTED, MH_PROCESS_FORKING)) return false;
  if (server.reserving && server.idle > 0 && fds[0] < 0) {
    mh_births[record] = (struct mh_birth){MH_FROM_RESERVE, task.attempt};
    if (write(server.reserve[1], &task, sizeof task) == (ssize_t)sizeof task) {
      server.idle--;
      return false;
    }
  }
  return fork_for(record, task.attempt, fds);
}

/*
 * One of the reserve has ended before its time. Returns the record in a child that had to be made in place of one that may
 * have been lost with its number; else -1.
 */
static int renew_reserve(void) {
  static const int none[2] = {-1, -1};
  uint32_t used = mh_load(&mh_header()->processes_used);
  bool reserving = server.reserving;
  close_reserve();
  for (uint32_t i = 0; i < used; i++) {
    const struct mh_birth *birth = &mh_births[i];
    if (birth->pid != MH_FROM_RESERVE || mh_load(&mh_process(i)->state) != (birth->attempt << 8 | MH_PROCESS_FORKING))
      continue;
    if (fork_for(i, birth->attempt, none)) return (int)i;
  }
  if (reserving) open_reserve();
  return -1;
}

/* What was freed at start-up, and is still ours, would be copied page table entry by entry into each child. */
static void give_back_free_memory(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

/*
 * Serves until the root is gone and all children have ended. Returns in each child: in one that was forked for a request,
 * the number of its process record; in one of the reserve, MH_RESERVE; in one that lives to no purpose, MH_REHEARSAL.
 * `requests`: socket to read requests from; its other end stays open here, for the children to inherit. `lifeline`:
 * hangs up when the root, process `root`, is gone. `counted`: see left.c.
 */
int mh_serve(int requests, int lifeline, pid_t root, bool counted) {
  sigprocmask(SIG_SETMASK, NULL, &server.mask);
  int error = mh_allow_fork();
  if (error < 0) return error;
  on_group_signals(SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  int guarded[2]; /* its write end is the guardian's alone: it hangs up when that is gone */
  if (pipe2(guarded, O_CLOEXEC) < 0) return -errno;
  give_back_free_memory();
  mh_note_sleepers();
  server.guardian = getpid();
  pid_t first = fork();
  if (first < 0) return -errno;
  if (first > 0) {
    prctl(PR_SET_NAME, "mh-guardian");
    guard(first);
  }
  close(guarded[1]);
  mh_forget_sleepers(counted);
  prctl(PR_SET_NAME, "mh-forkserver");
  prctl(PR_SET_CHILD_SUBREAPER, 0);
  if (rehearse()) return MH_REHEARSAL;
  server.requests = requests;
  server.lifeline = lifeline;
  server.guarded = guarded[0];
  server.events = child_events();
  if (server.events < 0) return -errno;
  open_reserve();
  bool rooted = true, guarding = true, orphans = false;
  __atomic_fetch_add(&mh_header()->server_births, 1, __ATOMIC_SEQ_CST);
  for (;;) {
    struct pollfd p[] = {{requests, POLLIN, 0},
                         {server.events, POLLIN, 0},
                         {rooted ? lifeline : -1, 0, 0},
                         {guarding ? guarded[0] : -1, 0, 0}};
    bool lacking = server.reserving && server.idle < RESERVE;
    int ready = poll(p, 4, lacking ? 0 : orphans ? LOOK_AFTER_ORPHANS : -1);
    if (ready < 0 && errno != EINTR) _exit(1);
    if (ready == 0 && lacking && fork_reserve()) return MH_RESERVE;
    if (p[1].revents) {
      bool irregular = false, known;
      int status;
      drain(server.events);
      while (mh_reap(false, &status, &known) > 0) irregular |= !known;
      int renewed = irregular ? renew_reserve() : -1;
      if (renewed >= 0) return renewed;
    }
    struct request request;
    int fds[2];
    if ((p[0].revents & POLLIN) && take_request(requests, &request, fds)) {
      if (start(request.process, fds)) return (int)request.process;
      if (fds[0] >= 0) close(fds[0]);
      if (fds[1] >= 0) close(fds[1]);
    }
    if (p[2].revents) {
      rooted = false;
      mh_tell_end(root);
    }
    if (p[3].revents) {
      guarding = false;
      __atomic_fetch_add(&mh_header()->guardian_deaths, 1, __ATOMIC_SEQ_CST);
      mh_ring_all(MH_REASON_CHILD);
      mh_have_all_look();
    }
    if (rooted && guarding) continue;
    orphans = !rooted && mh_look_after_orphans() > 0;
    close_reserve();
    if (childless()) _exit(0);
  }
}
