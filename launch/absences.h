// Which ranks whose process lives are not with the coordinator, and how long that is borne before the process is killed
// and another takes its place: a pure function of times. Ranks that are slow to load are with the coordinator: they
// join, and are heard, before they do.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace cadre::launch {

class Absences {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // From the end of a rank's MPI to its Join; a rank tries its host's relay alone for half of it.
  static constexpr std::chrono::milliseconds kToConnect{10'000};
  // In limits of silence, beside the one after which a rank is lost: of one that loads, which nobody can do without,
  // and of a member, which the others can. That one was perhaps only swapped out, and comes back by itself.
  static constexpr int kLoading = 2, kMember = 10;

  explicit Absences(std::chrono::milliseconds silence) : silence_(silence) {}

  // Its process knows what to do, and is to join; that it has may be heard of first, since the words come by other
  // ways.
  void started(std::uint32_t rank, TimePoint now);
  void joined(std::uint32_t rank);
  void lost(std::uint32_t rank, bool was_member, TimePoint now);
  // Another coordinator: all are to come to it.
  void coordinator_began(TimePoint now);
  void ended(std::uint32_t rank);

  bool is_absent(std::uint32_t rank) const;
  std::vector<std::uint32_t> absent() const;
  // Those that are borne no longer.
  std::vector<std::uint32_t> due(TimePoint now) const;

 private:
  std::chrono::milliseconds silence_;
  std::map<std::uint32_t, std::optional<TimePoint>> until_;  // of each that lives; nothing: it is with the coordinator
};

}  // namespace cadre::launch
