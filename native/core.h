/* What the C files offer each other and the binding. No function here knows JavaScript; failures are -errno. */
#ifndef MANYHANDS_CORE_H
#define MANYHANDS_CORE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "layout.h"

/* arena.c: the commons of this process. */
extern unsigned char *mh_base;
int mh_arena_create(uint64_t bytes);
int mh_arena_map(int fd, uint64_t bytes);
int mh_arena_punch(uint64_t offset, uint64_t bytes);
int64_t mh_arena_resident(void);
int mh_arena_fd(void);
uint64_t mh_arena_bytes(void);

static inline struct mh_header *mh_header(void) { return (struct mh_header *)(void *)mh_base; }
static inline struct mh_participant *mh_participant(uint32_t i) {
  return (struct mh_participant *)(void *)(mh_base + MH_PARTICIPANTS_OFFSET) + i;
}
/* Names a participant for good: the number of its record and whose turn it is there. See src/memory/participants.ts. */
static inline uint32_t mh_tag(uint32_t i) {
  uint32_t generation = __atomic_load_n(&mh_participant(i)->generation, __ATOMIC_SEQ_CST);
  return (generation & 0xffff) << 14 | i;
}
static inline uint32_t mh_tagged(uint32_t tag) { return tag & (MH_MAX_PARTICIPANTS - 1); }
static inline struct mh_process *mh_process(uint32_t i) {
  return (struct mh_process *)(void *)(mh_base + MH_PROCESSES_OFFSET) + i;
}
static inline uint32_t mh_load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
/* Is who has this tag thought to live? Its state is read first: what it says may be a later user's, and then the tag is another. */
static inline bool mh_lives(uint32_t tag) {
  return mh_load(&mh_participant(mh_tagged(tag))->state) == MH_PARTICIPANT_LIVE && mh_tag(mh_tagged(tag)) == tag;
}
static inline void mh_store(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }
static inline bool mh_swap_if(uint32_t *word, uint32_t expected, uint32_t next) {
  return __atomic_compare_exchange_n(word, &expected, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
/* Two neighbours as one, as they stand in memory. The first is at a multiple of 8. */
static inline uint64_t mh_two_words(uint32_t first, uint32_t second) {
  uint32_t words[2] = {first, second};
  uint64_t both;
  memcpy(&both, words, sizeof both);
  return both;
}
static inline bool mh_swap_two_if(uint32_t *first, uint64_t expected, uint64_t next) {
  return __atomic_compare_exchange_n((uint64_t *)(void *)first, &expected, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* The state of a process record, and the attempt that it is about. */
#define MH_STATE(word) ((word) & 0xffu)
#define MH_ATTEMPT(word) ((word) >> 8)
static inline uint32_t mh_process_state(const struct mh_process *p) { return MH_STATE(mh_load(&p->state)); }
/* Moves the state of one attempt and lets the record name its process, in one step: nothing dies in between. */
static inline bool mh_move_with_pid(struct mh_process *p, uint32_t attempt, uint32_t from, uint32_t to, pid_t pid) {
  return mh_swap_two_if(&p->state, mh_two_words(attempt << 8 | from, 0), mh_two_words(attempt << 8 | to, (uint32_t)pid));
}
/* Moves the state, whichever attempt it is about. False: it was not `from`. */
static inline bool mh_move(struct mh_process *p, uint32_t from, uint32_t to) {
  uint32_t seen = mh_load(&p->state);
  return MH_STATE(seen) == from && mh_swap_if(&p->state, seen, seen - from + to);
}
/* The same of one attempt only. */
static inline bool mh_move_attempt(struct mh_process *p, uint32_t attempt, uint32_t from, uint32_t to) {
  return mh_swap_if(&p->state, attempt << 8 | from, attempt << 8 | to);
}

/* futex.c: blocking waits. Timeouts are milliseconds; negative means for ever. */
int mh_futex_wait(uint32_t *word, uint32_t expected, double timeout);
int mh_futex_wake(uint32_t *word, int count);

/* doorbell.c: waking a thread wherever it sleeps, in its event loop or in a futex. */
int mh_pipe_inode(int fd, uint32_t *inode);
int mh_ring(uint32_t participant, uint32_t reasons);
void mh_ring_all(uint32_t reasons);
void mh_drop_bells(void);

/* participants.c: how a thread comes to use the commons, and what is told when it ends without a word. */
int mh_join(uint32_t *tag);
bool mh_mark_dead(uint32_t tag);
void mh_tell_death(uint32_t tag);
void mh_mourn(uint32_t tag);

/* process.c: what the kernel knows about processes. */
struct mh_stat {
  char state; /* the letter of /proc/PID/stat */
  pid_t parent;
  uint64_t start;
  int status; /* as waitpid() will tell it of a zombie */
  long nice;
  long threads;
};
int mh_process_stat(pid_t pid, struct mh_stat *out);
int64_t mh_cpu_time(pid_t pid);
int mh_wait_status(const siginfo_t *info);
int mh_end_with_parent(pid_t parent);
int64_t mh_await_exit(pid_t pid, double timeout, bool reap);
int mh_open_process(pid_t pid);
pid_t mh_ended_child(void);
void mh_await_any(const pid_t *pids, size_t count, int timeout);
int mh_allow_fork(void);

/* orphans.c: processes that outlive who started them. */
uint32_t mh_look_after_orphans(void);
void mh_watch_orphans(void);
void mh_forget_watch(void);
int mh_watch_child(pid_t pid, uint32_t tag);
int mh_watch_parent(pid_t parent);

/* named.c: memory that unrelated programs share, and names. */
struct mh_holder {
  pid_t pid;
  uid_t uid;
};
int mh_memory_create(const char *name, uint64_t bytes);
int mh_memory_map(int fd, uint64_t size, uint64_t offset, size_t bytes, void **base);
int mh_memory_punch(int fd, uint64_t offset, uint64_t bytes);
int mh_name_bind(const char *name);
int mh_name_holder(const char *name, struct mh_holder *holder);

/* sockets.c: stream sockets that do not block. */
struct mh_address {
  struct sockaddr_storage storage;
  socklen_t length;
};
#define MH_HOST_BYTES 128
enum { MH_SOCKET_READABLE = 1, MH_SOCKET_WRITABLE = 2, MH_SOCKET_RUNG = 4, MH_SOCKET_UNWATCHED = 8 };
int mh_address_unix(const void *path, size_t length, struct mh_address *address);
int mh_address_ip(const char *host, unsigned port, struct mh_address *address);
int mh_socket_listen(const struct mh_address *address, int backlog);
int mh_socket_connect(const struct mh_address *address);
int mh_socket_accept(int listener);
int mh_socket_error(int fd);
int mh_socket_address(int fd, bool peer, char host[MH_HOST_BYTES], unsigned *port);
int64_t mh_socket_send(int fd, const void *bytes, size_t length);
int64_t mh_socket_receive(int fd, void *bytes, size_t length);
int mh_socket_poll(int fd, int wanted, int bell, int timeout);
/* segments.c: memory under names of a file system's. */
#define MH_MAX_SEGMENT_NAME 255
struct mh_segment {
  void *base;
  uint64_t bytes;
  uint64_t inode;
  uint64_t most; /* of bytes that may be mapped */
};
int mh_segment_create(const char *name, uint64_t bytes, struct mh_segment *segment);
int mh_segment_open(const char *name, struct mh_segment *segment);
int mh_segment_remove(const char *name, uint64_t inode);

/* janitor.c: removes such names when the family has ended. */
#define MH_JANITOR_KEEP 1
#define MH_JANITOR_DROP 2
int mh_janitor_tell(uint32_t what, uint64_t inode, const char *name);
/* files.c */
int mh_file_join(int fd, uint32_t session);

/* limits.c: what a process may use. */
int mh_limit_heap(uint32_t process, uint64_t bytes);
int mh_limit_cpu(uint32_t process, double ms);

/* output.c */
int mh_write_all(int fd, const void *bytes, size_t length);

/* left.c: what threads leave behind in a fork. */
int mh_note_sleepers(void);
void mh_forget_sleepers(bool counted);

/* pages.c: pages that every child needs. */
int mh_tell_pages(int pipe);
void mh_hear_pages(int pipe, int timeout);
void mh_take_pages(void);

/* forkserver.c */
#define MH_REHEARSAL MH_MAX_PROCESSES     /* what mh_serve returns in the child that lives to no purpose */
#define MH_RESERVE (MH_MAX_PROCESSES + 1) /* ... and in one that is to call mh_take_record() */
extern int mh_rehearsal_pipe;
int mh_serve(int requests, int lifeline, pid_t root, bool counted);
int mh_take_record(void);

/* endings.c */
struct mh_birth {
  pid_t pid;
  uint32_t attempt;
};
#define MH_FROM_RESERVE (-1) /* as pid: given to the reserve, whichever of it took it */
extern struct mh_birth mh_births[MH_MAX_PROCESSES];
pid_t mh_reap(bool wait, int *status, bool *known);
void mh_finish_endings(void);
void mh_have_all_look(void);
void mh_bury(pid_t pid);
void mh_tell_end(pid_t pid);
bool mh_orphaned(const struct mh_process *p);
void mh_end_daemons(uint32_t tag);
int mh_request(int client, uint32_t process, const int *fds, size_t count);

#endif
