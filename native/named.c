/* Memory that unrelated programs share, and the names by which they find it: both go with the last process that has them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "core.h"

#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#define MFD_ALLOW_SEALING 2u
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#endif

/* Makes a memory file of zero bytes, sparse, whose size is final. Returns its descriptor, or -errno. */
int mh_memory_create(const char *name, uint64_t bytes) {
  int fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  if (ftruncate(fd, (off_t)bytes) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    return fd;
  int err = errno; /* close() may overwrite it */
  close(fd);
  return -err;
}

/* Maps `bytes` from `offset` on. -EINVAL: the file is not of that size, or might shrink under the mapping. */
int mh_memory_map(int fd, uint64_t size, uint64_t offset, size_t bytes, void **base) {
  struct stat st;
  if (fstat(fd, &st) != 0) return -errno;
  int seals = fcntl(fd, F_GET_SEALS);
  if ((uint64_t)st.st_size != size || seals < 0 || !(seals & F_SEAL_SHRINK)) return -EINVAL;
  if (offset > size || bytes > size - offset) return -EINVAL;
  *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
  return *base == MAP_FAILED ? -errno : 0;
}

/* Gives what lies there back to the kernel: it reads as zero from now on, wherever it is mapped. */
int mh_memory_punch(int fd, uint64_t offset, uint64_t bytes) {
  int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  return fallocate(fd, mode, (off_t)offset, (off_t)bytes) == 0 ? 0 : -errno;
}

/* An abstract address: no file, and gone with the last descriptor of the socket. Returns its length; 0: too long. */
static socklen_t address_of(const char *name, struct sockaddr_un *address) {
  size_t length = strlen(name);
  if (length + 1 > sizeof address->sun_path) return 0;
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path + 1, name, length);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

/* Takes a name. Returns the descriptor that holds it; -EADDRINUSE: it is taken. */
int mh_name_bind(const char *name) {
  struct sockaddr_un address;
  socklen_t length = address_of(name, &address);
  if (length == 0) return -ENAMETOOLONG;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  /* It listens, so that others can ask whose it is; nobody is ever accepted. */
  if (bind(fd, (struct sockaddr *)&address, length) == 0 && listen(fd, 64) == 0) return fd;
  int err = errno;
  close(fd);
  return -err;
}

/* Who holds a name? -ECONNREFUSED: nobody; -EAGAIN: too many ask. */
int mh_name_holder(const char *name, struct mh_holder *holder) {
  struct sockaddr_un address;
  socklen_t length = address_of(name, &address);
  if (length == 0) return -ENAMETOOLONG;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  struct ucred peer;
  socklen_t size = sizeof peer;
  int result = 0;
  if (connect(fd, (struct sockaddr *)&address, length) != 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    result = -errno;
  close(fd);
  if (result == 0) *holder = (struct mh_holder){.pid = peer.pid, .uid = peer.uid};
  return result;
}
