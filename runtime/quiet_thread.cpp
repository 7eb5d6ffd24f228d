#include "runtime/quiet_thread.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace cadre::runtime {

std::thread start_quiet_thread(const char* name, std::function<void()> work) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(work));
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_setname_np(thread.native_handle(), name);
  return thread;
}

}  // namespace cadre::runtime
