/* The memory file that a family of processes shares, and its mapping here. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"

#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#endif

unsigned char *mh_base;
static int arena_fd = -1;
static uint64_t arena_bytes;
static pthread_mutex_t mapping = PTHREAD_MUTEX_INITIALIZER;

/* Makes an arena of `bytes` zero bytes, sparse until touched. Returns its descriptor, or -errno. */
int mh_arena_create(uint64_t bytes) {
  int fd = (int)syscall(SYS_memfd_create, "manyhands", MFD_CLOEXEC);
  if (fd < 0) return -errno;
  /* Filled in before anyone can map it, so that nobody ever sees it half made. */
  uint32_t pages = (uint32_t)(bytes / MH_PAGE_BYTES);
  struct mh_header header = {
      .magic = MH_MAGIC,
      .root = (uint32_t)getpid(),
      .pages = pages,
      .first_page = (uint32_t)((MH_PAGES_OFFSET + (uint64_t)MH_PAGE_RECORD_BYTES * pages + MH_PAGE_BYTES - 1) / MH_PAGE_BYTES),
      .participants_used = 1,
  };
  if (ftruncate(fd, (off_t)bytes) == 0 && pwrite(fd, &header, sizeof header, 0) == (ssize_t)sizeof header) return fd;
  int err = errno; /* close() may overwrite it */
  close(fd);
  return -err;
}

/*
 * Buffers of some MiB come and go with messages. By default glibc gives each back to the kernel and gets it anew, a page
 * fault a page: a 1 MiB message there and back took 1.4 ms with that, and takes 0.9 without.
 */
static void keep_buffers(void) {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
}

/* Maps it, once per process: a second call changes nothing and returns 1. */
int mh_arena_map(int fd, uint64_t bytes) {
  int result = 0;
  pthread_mutex_lock(&mapping);
  if (mh_base) {
    result = 1;
  } else {
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED) {
      result = -errno;
    } else {
      madvise(base, bytes, MADV_DONTDUMP); /* a core file of 64 GiB helps nobody */
      keep_buffers();
      arena_fd = fd;
      arena_bytes = bytes;
      mh_base = base;
    }
  }
  pthread_mutex_unlock(&mapping);
  return result;
}

/* Gives the pages back to the kernel: they read as zero from now on. */
int mh_arena_punch(uint64_t offset, uint64_t bytes) {
  int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  return fallocate(arena_fd, mode, (off_t)offset, (off_t)bytes) == 0 ? 0 : -errno;
}

/* Bytes of memory that the kernel holds for the arena now. */
int64_t mh_arena_resident(void) {
  struct stat st;
  return fstat(arena_fd, &st) == 0 ? (int64_t)st.st_blocks * 512 : -errno;
}

int mh_arena_fd(void) { return arena_fd; }
uint64_t mh_arena_bytes(void) { return arena_bytes; }
