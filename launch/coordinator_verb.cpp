// The hidden verb of the coordinator's process: what the launcher starts.
#include <unistd.h>

#include <charconv>
#include <csignal>

#include "launch/coordinator_shell.h"
#include "launch/environment.h"
#include "launch/verbs.h"
#include "runtime/error.h"
#include "runtime/failpoints.h"

namespace cadre::launch {
namespace {

constexpr std::size_t kMaxBootBytes = 8 << 20;

// Byte by byte: what follows the line stays in the pipe.
std::string read_line(int file) {
  std::string line;
  char c = 0;
  while (::read(file, &c, 1) == 1 && c != '\n') {
    line += c;
    if (line.size() > kMaxBootBytes) throw runtime::UserError("the coordinator's boot message is too long");
  }
  return line;
}

std::vector<int> numbers_in(const std::string& list) {
  std::vector<int> numbers;
  for (const char* at = list.data(); at < list.data() + list.size(); ++at) {
    int number = 0;
    const auto [end, error] = std::from_chars(at, list.data() + list.size(), number);
    if (error != std::errc()) throw runtime::UserError("--listen_fds: expected numbers, found " + list);
    numbers.push_back(number);
    at = end;
  }
  return numbers;
}

}  // namespace

int coordinator(Arguments arguments) {
  std::signal(SIGPIPE, SIG_IGN);  // a launcher that was killed hears no report; the run is still to be ended well
  const std::vector<int> listeners = numbers_in(arguments.take("listen_fds", ""));
  const auto report = static_cast<int>(integer_of("report_fd", arguments.take("report_fd", "2"), 0, 1 << 20));
  allow_many_descriptors();
  runtime::arm_failpoints("coordinator");
  CoordinatorShell shell(parse_coordinator_boot(read_line(STDIN_FILENO)),
                         {.listeners = listeners, .control = STDIN_FILENO, .report = report});
  runtime::reach(runtime::Failpoint::kStart, 0);
  return shell.run();
}

}  // namespace cadre::launch
