// Who takes part in a run, as journal.jsonl tells it.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
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
    std::string drained_with = {};  // the host that was emptied, as who asked for it named it
    std::string left_out = {};      // why it is not started again
  };

  explicit Roster(std::uint64_t starts) : starts_(starts) {}

  void take(const boost::json::object& event);
  // Nobody holds the run any more: who was not told to end is lost.
  void nobody_is_there();

  const std::optional<Process>& coordinator() const { return coordinator_; }
  const std::map<std::uint64_t, Entry>& ranks() const { return ranks_; }
  std::uint64_t view() const { return view_; }
  // Hosts that were emptied and to which no rank has come back.
  std::set<std::string> drained_hosts() const;

 private:
  void put(const boost::json::object& member, RankState state);

  std::uint64_t starts_;
  bool is_this_start_ = false;
  std::optional<Process> coordinator_;
  std::map<std::uint64_t, Entry> ranks_;
  std::uint64_t view_ = 0;
};

// Of the `starts`th start of the run in this folder. A journal that is not there is an empty one.
Roster read_roster(const std::filesystem::path& run, std::uint64_t starts);

}  // namespace cadre::launch
