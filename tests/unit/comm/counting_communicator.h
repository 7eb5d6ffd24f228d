// Counts what its member sends to those on other hosts.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"

namespace cadre::comm {

class CountingCommunicator : public Communicator {
 public:
  // `hosts` as in the plans: [member]; empty: all are on one. Both outlive it.
  CountingCommunicator(Communicator& inner, const std::vector<std::uint32_t>& hosts) : inner_(inner), hosts_(hosts) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  Ticket start(Group group) override {
    for (const Send& send : group.sends) {
      if (!hosts_.empty() && host_of(send.to) != host_of(rank())) bytes_between_hosts += send.bytes.size();
    }
    return inner_.start(std::move(group));
  }
  void wait(Ticket ticket) override { inner_.wait(ticket); }
  bool is_done(Ticket ticket) override { return inner_.is_done(ticket); }
  void abort(const std::string& reason) noexcept override { inner_.abort(reason); }

  std::uint64_t bytes_between_hosts = 0;

 private:
  std::uint32_t host_of(int member) const { return hosts_[static_cast<std::size_t>(member)]; }

  Communicator& inner_;
  const std::vector<std::uint32_t>& hosts_;
};

}  // namespace cadre::comm
