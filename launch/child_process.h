// Processes that this one starts: known by their id, reaped here, and never left behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/descriptor.h"

namespace cadre::launch {

using runtime::Descriptor;

struct Pipe {
  Descriptor read;
  Descriptor write;
};

// Both ends close on exec. RunError when the process has no descriptors left.
Pipe make_pipe();

// What comes until the other end closes; of a longer text somewhat more than `most` bytes. RunError, which begins with
// `what`.
std::string read_to_end(int from, std::size_t most, const std::string& what);

struct ChildOptions {
  std::vector<std::string> command;                                   // the first is looked up in PATH
  std::vector<std::pair<std::string, std::string>> environment = {};  // beside what this process has
  int stdin_fd = -1, stdout_fd = -1, stderr_fd = -1;                  // -1: /dev/null
  std::vector<int> inherited = {};                                    // under the same numbers; others are closed
  bool own_session = false;                                           // no terminal's signal reaches it
  int signal_on_our_death = 0;                                        // when the thread that started it ends
};

// How a process ended: by its exit code, or by a signal.
struct Ended {
  int code = 0;
  int signal = 0;

  bool operator==(const Ended&) const = default;
};

// "exit code 3", "signal 9 (Killed)"; as a shell's $? says it: `of_shell_code(137)`.
std::string describe(const Ended& ended);
Ended of_shell_code(int code);

// A child, killed with its process group and reaped when this goes. With `own_session` the group is that of the child.
class ChildProcess {
 public:
  // UserError when the program cannot be executed; RunError when no process can be made. All signals are at their
  // defaults and unblocked in the child.
  explicit ChildProcess(const ChildOptions& options);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  // Reaps it if it has ended.
  const std::optional<Ended>& poll();
  const std::optional<Ended>& ended() const { return ended_; }
  // Nothing happens to one that was reaped: its number may be another's.
  void signal(int number);
  void signal_group(int number);
  // Also those that have left its group; none of them is waited for here.
  void kill_with_descendants();

 private:
  pid_t pid_ = -1;
  bool leads_group_ = false;
  std::optional<Ended> ended_;
};

// Starts a process that is not ours: in a session of its own, with no parent that could end it or wait for it.
// UserError and RunError as above.
void start_detached(ChildOptions options);

// Children of children whose parent ends become ours, so that they can be found and ended.
void adopt_orphans();
// The live children of this process, all threads together; zombies among them are reaped, but for `known`.
std::vector<pid_t> adopted_children(const std::vector<pid_t>& known);
// Kills and reaps all adopted children, and theirs, until none is left or `limit` has passed.
void end_adopted_children(const std::vector<pid_t>& known, std::chrono::milliseconds limit);

}  // namespace cadre::launch
