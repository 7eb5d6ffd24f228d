#include "comm/all_gather.h"

#include <algorithm>
#include <utility>

#include "runtime/error.h"

namespace cadre::comm {
namespace {

// [host]: the receivers there.
std::vector<std::vector<std::uint32_t>> receivers_by_host(const GatherPlan& plan, std::size_t members) {
  CADRE_CHECK(plan.hosts.empty() || plan.hosts.size() == members, "hosts of ", plan.hosts.size(), " of ", members);
  CADRE_CHECK(plan.receivers.empty() || plan.receivers.size() == members, plan.receivers.size(), " of ", members);
  std::vector<std::vector<std::uint32_t>> by_host;
  for (std::uint32_t member = 0; member < members; ++member) {
    const std::uint32_t host = plan.hosts.empty() ? 0 : plan.hosts[member];
    if (host >= by_host.size()) by_host.resize(host + 1);
    if (plan.receivers.empty() || plan.receivers[member]) by_host[host].push_back(member);
  }
  return by_host;
}

}  // namespace

AllGather::AllGather(Communicator& communicator, const GatherPlan& plan, std::span<float> values)
    : communicator_(communicator) {
  CADRE_CHECK(plan.holders->holders.size() == plan.chunks.count(), "holders of another space");
  const auto self = static_cast<std::uint32_t>(communicator.rank());
  const auto by_host = receivers_by_host(plan, static_cast<std::size_t>(communicator.size()));
  const auto host_of = [&](std::uint32_t member) { return plan.hosts.empty() ? 0 : plan.hosts[member]; };
  Group first;
  for (std::uint64_t chunk = 0; chunk < plan.chunks.count(); ++chunk) {
    const std::vector<std::uint32_t>& holders = plan.holders->holders[chunk];
    const auto has_it = [&](std::uint32_t member) { return std::ranges::find(holders, member) != holders.end(); };
    const runtime::ChunkRange range = plan.chunks.range(chunk);
    const std::span<float> piece = values.subspan(range.begin, range.size());
    const auto transfer = [&](Group& group, std::uint32_t from, std::uint32_t to) {
      if (from == self) group.sends.push_back({static_cast<int>(to), std::as_bytes(piece)});
      if (to == self) group.receives.push_back({static_cast<int>(from), std::as_writable_bytes(piece)});
    };
    for (std::uint32_t host = 0; host < by_host.size(); ++host) {
      if (by_host[host].empty() || (host != host_of(self) && !has_it(self))) continue;  // nothing of this member
      std::vector<std::uint32_t> here;
      std::ranges::copy_if(holders, std::back_inserter(here), [&](std::uint32_t it) { return host_of(it) == host; });
      if (here.empty()) {
        const std::uint32_t one = by_host[host][chunk % by_host[host].size()];
        transfer(first, holders[(chunk + host) % holders.size()], one);
        for (const std::uint32_t other : by_host[host]) {
          if (other != one) transfer(passed_on_, one, other);
        }
        continue;
      }
      std::size_t turn = chunk;
      for (const std::uint32_t member : by_host[host]) {
        if (!has_it(member)) transfer(first, here[turn++ % here.size()], member);
      }
    }
  }
  ticket_ = communicator_.start(std::move(first));
}

void AllGather::finish() {
  communicator_.wait(ticket_);
  communicator_.wait(communicator_.start(std::move(passed_on_)));
}

}  // namespace cadre::comm
