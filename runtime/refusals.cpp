#include "runtime/refusals.h"

#include <numeric>
#include <utility>

#include "runtime/error.h"

namespace cadre::runtime {
namespace {

constexpr std::chrono::minutes kPause{1};

// In words that follow a number; null: no refusal.
const char* name_of(ChannelEnd why) {
  switch (why) {
    case ChannelEnd::kClosed:
      return "closed before they said who they are";
    case ChannelEnd::kSilent:
      return "silent";
    case ChannelEnd::kCrowded:
      return "silent while others waited";
    case ChannelEnd::kGarbage:
      return "garbage";
    case ChannelEnd::kVersion:
      return "another version";
    case ChannelEnd::kToken:
      return "a wrong token";
    case ChannelEnd::kTooLong:
      return "a frame too long";
    case ChannelEnd::kForged:
      return "a forged or repeated frame";
    case ChannelEnd::kMalformed:
      return "a frame without a message";
    case ChannelEnd::kOutdated:
      return "another incarnation";
    case ChannelEnd::kClosedHere:
    case ChannelEnd::kNotReading:
    case ChannelEnd::kNobody:
      break;
  }
  return nullptr;
}

}  // namespace

std::string describe(const RefusalCounts& counts) {
  std::string why;
  std::uint64_t all = 0;
  for (std::size_t at = 0; at < counts.size(); ++at) {
    if (counts[at] == 0) continue;
    all += counts[at];
    why += say(why.empty() ? ": " : ", ", counts[at], " ", name_of(static_cast<ChannelEnd>(at)));
  }
  return all == 0 ? "" : say(all, all == 1 ? " connection was refused" : " connections were refused", why);
}

void Refusals::count(ChannelEnd why, Time now) {
  if (name_of(why) == nullptr) return;
  ++counts_[static_cast<std::size_t>(why)];
  is_told_ = false;
  if (now < next_) return;
  next_ = now + kPause;
  tell_rest();
}

void Refusals::tell_rest() {
  if (std::exchange(is_told_, true) || !tell_) return;
  tell_(describe(counts_));
}

std::uint64_t Refusals::all() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

}  // namespace cadre::runtime
