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
 *   RUNNING   → EXITED    by whoever reaps it
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

static void announce(const struct mh_process *p) {
  if (mh_load(&mh_participant(p->owner)->generation) == p->owner_generation) mh_ring(p->owner, MH_REASON_CHILD);
}

/*
 * What follows from the end of process `pid`, from however it ended and whoever reaped it: its threads are dead,
 * its daemons end with it, and all who wait for something of it must look again.
 */
void mh_bury(pid_t pid) {
  uint32_t participants = mh_load(&mh_header()->participants_used);
  uint32_t processes = mh_load(&mh_header()->processes_used);
  bool died = false;
  for (uint32_t i = 1; i < participants && i < MH_MAX_PARTICIPANTS; i++) {
    struct mh_participant *dead = mh_participant(i);
    uint32_t state = mh_load(&dead->state);
    if (mh_load(&dead->pid) != (uint32_t)pid || state == MH_PARTICIPANT_DEAD) continue;
    for (uint32_t j = 0; j < processes; j++) {
      const struct mh_process *child = mh_process(j);
      if (mh_load(&child->state) == MH_PROCESS_RUNNING && child->owner == i && (child->flags & MH_PROCESS_DAEMON) &&
          child->owner_generation == mh_load(&dead->generation))
        kill((pid_t)child->pid, SIGKILL);
    }
    if (state != MH_PARTICIPANT_LIVE) { /* it never came to anything, or left in order */
      mh_store(&dead->state, MH_PARTICIPANT_FREE);
      mh_store(&dead->pid, 0);
      continue;
    }
    mh_store(&dead->state, MH_PARTICIPANT_DEAD);
    __atomic_fetch_add(&mh_header()->deaths, 1, __ATOMIC_SEQ_CST);
    died = true;
  }
  if (died) mh_ring_all(MH_REASON_DEATH);
}

/* What this server forked for each record. Its child says so itself, in the record, unless it is killed before. */
static pid_t births[MH_MAX_PROCESSES];

/* Does the end of `pid` end what record `i` stands for? */
static bool ends(pid_t pid, uint32_t i) {
  const struct mh_process *p = mh_process(i);
  uint32_t told = mh_load(&p->pid);
  return !(p->flags & MH_PROCESS_SPAWNED) && (told == (uint32_t)pid || (told == 0 && births[i] == pid));
}

/* Writes down that `pid` has ended, and what follows from it. */
static void record_end(pid_t pid, int status) {
  uint32_t used = mh_load(&mh_header()->processes_used);
  for (uint32_t i = 0; i < used; i++) {
    struct mh_process *p = mh_process(i);
    uint32_t state = mh_load(&p->state);
    if ((state != MH_PROCESS_RUNNING && state != MH_PROCESS_FORKING) || !ends(pid, i)) continue;
    mh_store(&p->pid, (uint32_t)pid);
    p->status = (uint32_t)status;
    if (!mh_swap_if(&p->state, MH_PROCESS_RUNNING, MH_PROCESS_EXITED) &&
        !mh_swap_if(&p->state, MH_PROCESS_FORKING, MH_PROCESS_EXITED))
      continue;
    mh_futex_wake(&p->state, INT_MAX);
    announce(p);
    break;
  }
  mh_bury(pid);
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
 * The guardian. Returns in a new server when the last one was killed; never otherwise. It waits in waitpid(), as its
 * process has threads of Node's that could take a SIGCHLD away.
 */
static void guard(pid_t server) {
  bool over = false;
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, 0);
    if (pid < 0 && errno == ECHILD && over) _exit(0);
    if (pid > 0 && pid != server) record_end(pid, status);
    if (pid != server || over) continue;
    over = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (over) continue;
    __atomic_fetch_add(&mh_header()->server_epoch, 1, __ATOMIC_SEQ_CST);
    server = fork();
    if (server == 0) return;
    if (server < 0) _exit(1); /* the root sees it, and makes a new pair */
  }
}

/* First acts of a child. */
static void become_child(struct mh_process *p, const int fds[2], const sigset_t *mask) {
  if (!mh_swap_if(&p->state, MH_PROCESS_FORKING, MH_PROCESS_RUNNING)) _exit(0);
  mh_store(&p->pid, (uint32_t)getpid());
  mh_futex_wake(&p->state, INT_MAX);
  prctl(PR_SET_NAME, "node");
  signal(SIGINT, SIG_DFL);
  signal(SIGQUIT, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  sigprocmask(SIG_SETMASK, mask, NULL);
  for (int i = 0; i < 2; i++) {
    if (fds[i] < 0) continue;
    dup2(fds[i], i + 1);
    close(fds[i]);
  }
}

/*
 * Serves until the root is gone and all children have ended. Returns in each child the number of its process record.
 * `requests`: socket to read requests from; its other end stays open here, for the children to inherit. `lifeline`:
 * hangs up when the root is gone. `root`: the root's participant. `counted`: see left.c.
 */
int mh_serve(int requests, int lifeline, uint32_t root, bool counted) {
  sigset_t mask;
  sigprocmask(SIG_SETMASK, NULL, &mask);
  int error = mh_allow_fork();
  if (error < 0) return error;
  /* Ctrl-C and a hang-up reach the whole terminal group. These two end when the others have. */
  signal(SIGINT, SIG_IGN);
  signal(SIGQUIT, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  int guarded[2]; /* its write end is the guardian's alone: it hangs up when that is gone */
  if (pipe2(guarded, O_CLOEXEC) < 0) return -errno;
  mh_note_sleepers();
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
  int events = child_events();
  if (events < 0) return -errno;
  uint32_t root_pid = mh_participant(root)->pid;
  bool rooted = true, guarding = true;
  for (;;) {
    struct pollfd p[] = {
        {requests, POLLIN, 0}, {events, POLLIN, 0}, {rooted ? lifeline : -1, 0, 0}, {guarding ? guarded[0] : -1, 0, 0}};
    if (poll(p, 4, -1) < 0 && errno != EINTR) _exit(1);
    if (p[1].revents) {
      drain(events);
      int status;
      for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) record_end(pid, status);
    }
    struct request request;
    int fds[2];
    if ((p[0].revents & POLLIN) && take_request(requests, &request, fds)) {
      struct mh_process *process = mh_process(request.process);
      if (mh_swap_if(&process->state, MH_PROCESS_REQUESTED, MH_PROCESS_FORKING)) {
        pid_t pid = fork();
        if (pid == 0) {
          close(requests);
          close(events);
          close(lifeline);
          close(guarded[0]);
          become_child(process, fds, &mask);
          return (int)request.process;
        }
        births[request.process] = pid;
        if (pid < 0) {
          process->status = (uint32_t)errno;
          mh_swap_if(&process->state, MH_PROCESS_FORKING, MH_PROCESS_FAILED);
          mh_futex_wake(&process->state, INT_MAX);
        }
      }
      if (fds[0] >= 0) close(fds[0]);
      if (fds[1] >= 0) close(fds[1]);
    }
    if (p[2].revents) {
      rooted = false;
      mh_bury((pid_t)root_pid);
    }
    if (p[3].revents) guarding = false;
    if (!(rooted && guarding) && childless()) _exit(0);
  }
}
