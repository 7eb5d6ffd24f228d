// Worlds for the conformance suite: N members in one process, a transport each, and a thread each while they talk.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace cadre::comm {

class World {
 public:
  virtual ~World() = default;
  virtual int size() const = 0;
  // The next view's communicators, of all members or of those in `members`.
  virtual std::vector<std::unique_ptr<Communicator>> next_view() = 0;
  virtual std::vector<std::unique_ptr<Communicator>> next_view(const std::vector<int>& members) = 0;
  // The next view's number, given to members one at a time.
  virtual runtime::View plan_view() = 0;
  virtual std::unique_ptr<Communicator> enter(const runtime::View& view, int member) = 0;
  // The member is gone as if its process had been killed.
  virtual void kill(int member) = 0;
  // Connections made so far, both ends counted.
  virtual std::uint64_t established() const = 0;
  virtual std::uint64_t dropped_frames() const = 0;
};

using Communicators = std::vector<std::unique_ptr<Communicator>>;
// A member's part, on a thread of its own each; the first exception of any is thrown here.
void together(const Communicators& communicators, const std::function<void(Communicator&)>& part);

struct WorldFactory {
  std::string name;
  std::function<std::unique_ptr<World>(int size)> make;
};
// Every transport that this build and machine have.
std::vector<WorldFactory> world_factories();

}  // namespace cadre::comm
