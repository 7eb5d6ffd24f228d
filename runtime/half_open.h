// Connections that have not proven who they are. A stranger can make any number of them: when there are `places` and
// another comes, the oldest gives way once it had `grace`, far longer than an honest one needs; until then newcomers
// wait in the kernel's queue. One thread's.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>

#include "runtime/control_channel.h"

namespace cadre::runtime {

class HalfOpen {
 public:
  // Closes the connection.
  using End = std::function<void(ChannelEnd)>;

  HalfOpen(std::size_t places, std::chrono::milliseconds grace) : places_(places), grace_(grace) {}

  // Until leave(), which does nothing where the connection was ended here.
  void enter(const void* connection, End end);
  void leave(const void* connection);

  // Before each accept().
  static boost::asio::awaitable<void> make_room(std::shared_ptr<HalfOpen> self);
  // Also without grace: for a process that has no descriptors left.
  void end_oldest();
  // Ends all, as kClosedHere; nobody waits for room any more.
  void close();

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    const void* connection;
    Clock::time_point since;
    End end;
  };

  void tell_of_room();

  const std::size_t places_;
  const std::chrono::milliseconds grace_;
  bool is_closed_ = false;
  std::list<Entry> entries_;  // oldest first
  std::list<boost::asio::steady_timer*> waiting_;
};

}  // namespace cadre::runtime
