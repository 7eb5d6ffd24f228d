#include "launch/environment.h"

#include <unistd.h>

#include <cstdlib>

namespace cadre::launch {

void settle_environment(char** argv) {
  // libgomp reads these when it is loaded. A thousand turns are a few microseconds: enough between the short loops of a
  // step on a quiet machine, and a processor is given back soon on a busy one.
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  if (setenv("GOMP_SPINCOUNT", "1000", 1) != 0) return;
  execv("/proc/self/exe", argv);
  // Where exec is refused the program runs as it is, only slower.
}

}  // namespace cadre::launch
