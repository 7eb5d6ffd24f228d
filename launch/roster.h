// Who takes part in a run, as journal.jsonl tells it.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace cadre::launch {

enum class RankState {
  kJoining,  // it loads, or waits for a view
  kLive,     // a member of the view
  kLost,
  kLeftOut,  // likewise, and nobody starts it again
  kDrained,  // ended by the coordinator's order
};
const char* name_of(RankState state);

struct Process {
  std::string host = {};
  std::int64_t pid = 0;

  bool operator==(const Process&) const = default;
};

// A fold over the events of one start of a run, the `starts`th as run.json counts them: what an earlier start wrote
// says nothing of the processes of this one.
class Roster {
 public:
  struct Entry {
    Process process = {};
    RankState state = RankState::kJoining;
  };

  explicit Roster(std::uint64_t starts) : starts_(starts) {}

  void take(const boost::json::object& event);
  // Nobody holds the run any more: who was not told to end is lost.
  void nobody_is_there();

  const std::optional<Process>& coordinator() const { return coordinator_; }
  const std::map<std::uint64_t, Entry>& ranks() const { return ranks_; }
  std::uint64_t view() const { return view_; }

 private:
  void put(const boost::json::object& member, RankState state);

  std::uint64_t starts_;
  bool is_this_start_ = false;
  std::optional<Process> coordinator_;
  std::map<std::uint64_t, Entry> ranks_;
  std::uint64_t view_ = 0;
};

}  // namespace cadre::launch
