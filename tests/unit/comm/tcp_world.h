// Members that talk through the TCP transport, for tests that need its details.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/tcp_transport.h"
#include "tests/unit/comm/transport_world.h"

namespace cadre::comm {

class TcpWorld final : public World {
 public:
  TcpWorld(int size, bool unix_sockets, TcpOptions options = {}) {
    if (options.token.empty()) options.token = "a token of this test";
    options.unix_socket = unix_sockets;
    for (int rank = 0; rank < size; ++rank) {
      transports_.push_back(make_tcp_transport(options));
      members_.push_back({.rank = static_cast<runtime::Rank>(10 * rank + 3),
                          .incarnation = 1,
                          .host = "host",
                          .endpoints = transports_.back()->endpoints()});
    }
  }

  int size() const override { return static_cast<int>(transports_.size()); }

  std::vector<std::unique_ptr<Communicator>> next_view() override {
    std::vector<int> all;
    for (int member = 0; member < size(); ++member) all.push_back(member);
    return next_view(all);
  }

  std::vector<std::unique_ptr<Communicator>> next_view(const std::vector<int>& members) override {
    const runtime::View view = plan_view(members);
    std::vector<std::unique_ptr<Communicator>> communicators;
    for (const int member : members) communicators.push_back(enter(view, member));
    return communicators;
  }

  runtime::View plan_view() override {
    std::vector<int> all;
    for (int member = 0; member < size(); ++member) all.push_back(member);
    return plan_view(all);
  }
  runtime::View plan_view(const std::vector<int>& members) {
    runtime::View view{.stamp = {.term = 1, .generation = 0, .view = ++views_}};
    for (const int member : members) view.members.push_back(members_[static_cast<std::size_t>(member)]);
    return view;
  }

  std::unique_ptr<Communicator> enter(const runtime::View& view, int member) override {
    const auto at = static_cast<std::size_t>(member);
    return transports_[at]->communicator(view, members_[at].rank);
  }

  void kill(int member) override { transports_[static_cast<std::size_t>(member)].reset(); }

  std::uint64_t established() const override {
    std::uint64_t sum = 0;
    for (const auto& transport : transports_) sum += transport ? transport->counters().established : 0;
    return sum;
  }
  std::uint64_t dropped_frames() const override {
    std::uint64_t sum = 0;
    for (const auto& transport : transports_) sum += transport ? transport->counters().dropped_frames : 0;
    return sum;
  }

  TcpTransport& transport(int member) { return *transports_[static_cast<std::size_t>(member)]; }
  runtime::Member& member(int at) { return members_[static_cast<std::size_t>(at)]; }

 private:
  std::vector<std::unique_ptr<TcpTransport>> transports_ = {};
  std::vector<runtime::Member> members_ = {};
  std::uint64_t views_ = 0;
};

}  // namespace cadre::comm
