#include "launch/roster.h"

#include <boost/json/array.hpp>

#include "runtime/json_fields.h"
#include "runtime/json_lines.h"

namespace cadre::launch {
namespace {

using boost::json::object;

// Of what others may have written: 0 and "" where it is something else.
std::int64_t number(const object& fields, const char* name) {
  const boost::json::value* value = fields.if_contains(name);
  boost::json::error_code error;
  const auto found = value != nullptr ? value->to_number<std::int64_t>(error) : 0;
  return error || found < 0 ? 0 : found;
}

Process process_of(const object& fields) {
  return {runtime::text_in(fields, "host"), number(fields, "pid")};
}

bool is_there(RankState state) {
  return state == RankState::kJoining || state == RankState::kLive;
}

}  // namespace

const char* name_of(RankState state) {
  switch (state) {
    case RankState::kJoining:
      return "joining";
    case RankState::kLive:
      return "live";
    case RankState::kLost:
      return "lost";
    case RankState::kLeftOut:
      return "left out";
    case RankState::kDrained:
      break;
  }
  return "drained";
}

void Roster::put(const object& member, RankState state) {
  if (!member.contains("rank")) return;
  ranks_[static_cast<std::uint64_t>(number(member, "rank"))] = {process_of(member), state};
}

void Roster::take(const object& event) {
  const std::string name = runtime::text_in(event, "event");
  if (name == "started" || name == "resumed") {
    // A coordinator that takes the place of one that died has the same ranks.
    is_this_start_ = static_cast<std::uint64_t>(number(event, "starts")) == starts_;
    if (is_this_start_) coordinator_ = process_of(event);
  }
  if (!is_this_start_) return;
  if (event.contains("view")) view_ = static_cast<std::uint64_t>(number(event, "view"));
  if (name == "joined") {
    put(event, RankState::kJoining);
  } else if (name == "view") {
    const boost::json::value* members = event.if_contains("members");
    if (members == nullptr || !members->is_array()) return;
    for (const boost::json::value& member : members->get_array()) {
      if (member.is_object()) put(member.get_object(), RankState::kLive);
    }
  } else if (name == "lost") {
    const auto found = ranks_.find(static_cast<std::uint64_t>(number(event, "rank")));
    if (found != ranks_.end()) found->second.state = RankState::kLost;
  } else if (name == "drained" && event.contains("rank")) {
    Entry& entry = ranks_[static_cast<std::uint64_t>(number(event, "rank"))];
    entry.state = RankState::kDrained;
    entry.drained_with = runtime::text_in(event, "host");
  } else if (name == "invited") {
    const boost::json::value* ranks = event.if_contains("ranks");
    if (ranks == nullptr || !ranks->is_array()) return;
    for (const boost::json::value& rank : ranks->get_array()) {
      boost::json::error_code error;
      const auto invited = rank.to_number<std::uint64_t>(error);
      if (!error) ranks_[invited] = {{runtime::text_in(event, "host"), 0}};
    }
  } else if (name == "left_out" && event.contains("rank")) {
    Entry& entry = ranks_[static_cast<std::uint64_t>(number(event, "rank"))];
    entry.state = RankState::kLeftOut;
    entry.left_out = runtime::text_in(event, "reason");
  } else if (name == "succeeded" || name == "stopped" || name == "failed") {
    for (auto& [rank, entry] : ranks_) {
      if (is_there(entry.state)) entry.state = RankState::kDrained;
    }
  }
}

std::set<std::string> Roster::drained_hosts() const {
  std::set<std::string> hosts;
  for (const auto& [rank, entry] : ranks_) {
    if (!entry.drained_with.empty()) hosts.insert(entry.drained_with);
  }
  return hosts;
}

Roster read_roster(const std::filesystem::path& run, std::uint64_t starts) {
  Roster roster(starts);
  std::error_code error;
  const std::filesystem::path journal = run / "journal.jsonl";
  if (!std::filesystem::exists(journal, error)) return roster;
  runtime::visit_json_lines(journal, [&](boost::json::object&& event) {
    roster.take(event);
    return true;
  });
  return roster;
}

void Roster::nobody_is_there() {
  for (auto& [rank, entry] : ranks_) {
    if (is_there(entry.state)) entry.state = RankState::kLost;
  }
}

}  // namespace cadre::launch
