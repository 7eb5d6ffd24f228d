// Whether and when a lost rank is started again, as a pure function of times.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

namespace cadre::launch {

// A rank that is lost more often than this has a reason that another start does not mend: a bad device, a full disk.
inline constexpr std::size_t kMaxRestarts = 5;
inline constexpr std::chrono::minutes kRestartWindow{10};
inline constexpr std::chrono::milliseconds kFirstRestartDelay{1'000};

// `starts`: when this rank was started again before. Waits for `first`, doubled with each of them in the window.
// Nothing: it is left out.
std::optional<std::chrono::milliseconds> restart_delay(const std::vector<std::chrono::steady_clock::time_point>& starts,
                                                       std::chrono::steady_clock::time_point now,
                                                       std::chrono::milliseconds first = kFirstRestartDelay);

}  // namespace cadre::launch
