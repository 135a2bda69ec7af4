/* Whose an open file is. */
#include <errno.h>
#include <fcntl.h>

#include "core.h"

/* Far behind what any file holds: sessions are marked there. */
#define SESSIONS ((off_t)1 << 60)
#define SESSIONS_END (SESSIONS + ((off_t)1 << 32))

static int probe(int fd, off_t from, off_t to) {
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = to - from};
  if (fcntl(fd, F_OFD_GETLK, &range) != 0) return -errno;
  return range.l_type == F_UNLCK ? 0 : 1;
}

/*
 * Marks this open file as one of a session, a number above 0, for as long as it is open: by a lock of one byte that all of
 * a session share. 1: it is open in another session. Two that come at once may both learn that, and neither has it then.
 */
int mh_file_join(int fd, uint32_t session) {
  off_t own = SESSIONS + session;
  struct flock byte = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = own, .l_len = 1};
  if (fcntl(fd, F_OFD_SETLK, &byte) != 0) return -errno;
  int others = probe(fd, SESSIONS, own);
  if (others == 0) others = probe(fd, own + 1, SESSIONS_END);
  if (others == 0) return 0;
  byte.l_type = F_UNLCK;
  fcntl(fd, F_OFD_SETLK, &byte);
  return others;
}
