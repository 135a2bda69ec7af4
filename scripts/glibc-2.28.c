/* What glibc 2.28 does not have as a function of this name, for the prebuilt addon only: scripts/prebuild.mjs. */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Until 2.33 it was an inline call of __fxstat. The kernel's struct is glibc's on x64 and arm64. */
int fstat(int fd, struct stat *into) {
  return (int)syscall(SYS_fstat, fd, into);
}
