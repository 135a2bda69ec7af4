/* V8's heap, as a whole. */
#include <dlfcn.h>
#include <errno.h>

#include "core.h"

/*
 * Collects all garbage of the calling thread's heap, and gives back what that leaves unused; but does not sweep. By functions that
 * Node exports: v8::Isolate::GetCurrent(), v8::Isolate::LowMemoryNotification(). -ENOSYS: this Node does not let us.
 */
int mh_collect_garbage(void) {
  void *(*current)(void);
  void (*collect)(void *isolate);
  *(void **)&current = dlsym(RTLD_DEFAULT, "_ZN2v87Isolate10GetCurrentEv");
  *(void **)&collect = dlsym(RTLD_DEFAULT, "_ZN2v87Isolate21LowMemoryNotificationEv");
  if (!current || !collect) return -ENOSYS;
  collect(current());
  return 0;
}
