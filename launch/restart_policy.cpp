#include "launch/restart_policy.h"

#include <algorithm>

namespace cadre::launch {

std::optional<std::chrono::milliseconds> restart_delay(const std::vector<std::chrono::steady_clock::time_point>& starts,
                                                       std::chrono::steady_clock::time_point now,
                                                       std::chrono::milliseconds first) {
  const auto recent = static_cast<std::size_t>(
      std::count_if(starts.begin(), starts.end(), [&](const auto& start) { return now - start < kRestartWindow; }));
  if (recent >= kMaxRestarts) return std::nullopt;
  return first * (1 << recent);
}

}  // namespace cadre::launch
