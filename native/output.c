/* Printing: what was printed is out, whoever else has the descriptor and whatever comes next. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "core.h"

/* Writes all of it, and waits for a reader that is slow, also where somebody has set the descriptor not to block. */
int mh_write_all(int fd, const void *bytes, size_t length) {
  const char *next = bytes;
  while (length > 0) {
    ssize_t written = write(fd, next, length);
    if (written >= 0) {
      next += written;
      length -= (size_t)written;
    } else if (errno == EAGAIN) {
      struct pollfd p = {fd, POLLOUT, 0};
      poll(&p, 1, -1);
    } else if (errno != EINTR) {
      return -errno;
    }
  }
  return 0;
}
