// Where the thread that waits for groups and the thread that moves their bytes meet.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "comm/communicator.h"

namespace cadre::comm {

// Of one communicator. After a failure or an abort no wait returns before let_go(): until then the other thread may
// still touch the buffers.
class TicketBoard {
 public:
  using Ticket = Communicator::Ticket;

  // The communicator's thread.
  Ticket open(std::size_t transfers);
  void wait(Ticket ticket);  // CommError, Aborted
  bool is_done(Ticket ticket);
  void wait_until_let_go();

  // Any thread.
  void abort(const std::string& reason) noexcept;  // the first reason is kept

  // The thread that moves bytes.
  void done(Ticket ticket);                        // one transfer of the group
  void fail(int peer, const std::string& reason);  // the first failure is kept
  void let_go();                                   // no buffer is touched from here on

 private:
  struct Failure {
    int peer;
    std::string reason;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Ticket, std::size_t> left_;  // transfers under way, by group; a group is forgotten by its wait
  Ticket next_ = 1;
  std::optional<std::string> aborted_;
  std::optional<Failure> failure_;
  bool let_go_ = false;
};

}  // namespace cadre::comm
