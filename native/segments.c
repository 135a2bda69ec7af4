/*
 * Blocks of memory with a name of a file system's, in /dev/shm: those that shm_open() makes, and so other programs' too. By plain
 * open(), as shm_open() stands in another library with each C library.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core.h"

#define FOLDER "/dev/shm"
#define MAX_PATH (sizeof FOLDER + 1 + MH_MAX_SEGMENT_NAME)

static const char *path_of(const char *name, char path[MAX_PATH]) {
  snprintf(path, MAX_PATH, FOLDER "/%s", name);
  return path;
}

/* The kernel sets the memory aside now: what is touched later, and is not there then, would end the process by SIGBUS. */
static int reserve(int fd, uint64_t bytes) {
  while (fallocate(fd, 0, 0, (off_t)bytes) != 0) {
    if (errno == EINTR) continue;
    if (errno != EOPNOTSUPP) return -errno;
    return ftruncate(fd, (off_t)bytes) == 0 ? 0 : -errno;
  }
  return 0;
}

static int map(int fd, struct mh_segment *segment) {
  struct stat st;
  if (fstat(fd, &st) != 0) return -errno;
  if (!S_ISREG(st.st_mode)) return -EINVAL;
  segment->inode = (uint64_t)st.st_ino;
  segment->bytes = (uint64_t)st.st_size;
  if (segment->bytes == 0) return -ENODATA;
  if (segment->bytes > segment->most) return -EFBIG;
  segment->base = mmap(NULL, (size_t)segment->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return segment->base == MAP_FAILED ? -errno : 0;
}

/* Closes it, and unmaps if there is an error. */
static int finish(int fd, const struct mh_segment *segment, int error) {
  if (error < 0 && segment->base && segment->base != MAP_FAILED) munmap(segment->base, (size_t)segment->bytes);
  close(fd);
  return error;
}

/*
 * Makes one of `bytes` zero bytes and maps it. It gets its name last, whole as it is, when the janitor knows of it already: so whoever is
 * killed meanwhile leaves nothing behind. -EEXIST: the name is taken.
 */
int mh_segment_create(const char *name, uint64_t bytes, struct mh_segment *segment) {
  char path[MAX_PATH], self[64];
  bool nameless = true;
  int fd = open(FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
    /* Some containers' file systems know no files without a name. */
    nameless = false;
    fd = open(path_of(name, path), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  }
  if (fd < 0) return -errno;
  int error = reserve(fd, bytes);
  if (error == 0) error = map(fd, segment);
  if (error == 0) error = mh_janitor_tell(MH_JANITOR_KEEP, segment->inode, name);
  if (error == 0 && nameless) {
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, self, AT_FDCWD, path_of(name, path), AT_SYMLINK_FOLLOW) != 0) {
      error = -errno;
      mh_janitor_tell(MH_JANITOR_DROP, segment->inode, name);
    }
  }
  if (error < 0 && !nameless) unlink(path);
  return finish(fd, segment, error);
}

/* Maps the one of that name, whoever made it. -ENODATA: it has no bytes (yet); -EFBIG: more than `segment->most`. */
int mh_segment_open(const char *name, struct mh_segment *segment) {
  char path[MAX_PATH];
  int fd = open(path_of(name, path), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -errno;
  return finish(fd, segment, map(fd, segment));
}

/* Removes the name if it is that of this inode. -ENOENT: it is not, or not any more. */
int mh_segment_remove(const char *name, uint64_t inode) {
  char path[MAX_PATH];
  struct stat st;
  int fd = open(path_of(name, path), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  int error = fstat(fd, &st) != 0 ? -errno : (uint64_t)st.st_ino != inode ? -ENOENT : 0;
  close(fd);
  if (error < 0) return error;
  return unlink(path) == 0 ? 0 : -errno;
}
