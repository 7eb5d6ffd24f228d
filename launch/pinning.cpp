#include "launch/pinning.h"

#include <sched.h>

namespace cadre::launch {

std::vector<int> choose_processors(const PinningRequest& request) {
  const std::uint64_t needed = std::uint64_t{request.local_size} * request.threads;
  if (request.threads == 0 || request.local_rank >= request.local_size || needed > request.allowed.size()) return {};
  const std::uint64_t all = request.allowed.size();
  const auto cut = [&](std::uint64_t rank) {
    return request.allowed.begin() + static_cast<std::ptrdiff_t>(all * rank / request.local_size);
  };
  return {cut(request.local_rank), cut(request.local_rank + 1)};
}

std::vector<int> allowed_processors() {
  // As large as the kernel's own set can be: with a smaller one the call fails on large machines.
  constexpr int kMost = 8192;
  cpu_set_t* set = CPU_ALLOC(kMost);
  const std::size_t size = CPU_ALLOC_SIZE(kMost);
  std::vector<int> allowed;
  if (set != nullptr && sched_getaffinity(0, size, set) == 0) {
    for (int i = 0; i < kMost; ++i) {
      if (CPU_ISSET_S(i, size, set)) allowed.push_back(i);
    }
  }
  CPU_FREE(set);
  return allowed;
}

bool pin_to(const std::vector<int>& processors) {
  if (processors.empty()) return false;
  const int most = processors.back() + 1;
  cpu_set_t* set = CPU_ALLOC(most);
  const std::size_t size = CPU_ALLOC_SIZE(most);
  if (set == nullptr) return false;
  CPU_ZERO_S(size, set);
  for (const int processor : processors) CPU_SET_S(processor, size, set);
  const bool done = sched_setaffinity(0, size, set) == 0;
  CPU_FREE(set);
  return done;
}

}  // namespace cadre::launch
