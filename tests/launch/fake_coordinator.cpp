// Stands in for the coordinator in the launcher's tests: takes the boot message, accepts the ranks that it names, and
// ends as its orders say. Orders come in the environment, as the launcher knows nothing of them.
//
//   FAKE_RANKS    so many connections make the run begin
//   FAKE_ENDS     "at_once" when all are there; "on_stop"; "never"
//   FAKE_DIES     a term: that incarnation kills itself when all are there
//   FAKE_LOSES    a rank's number: it is lost as soon as it has joined
//   FAKE_CODE     its exit code
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

namespace {

std::string order(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : value;
}

void say(int to, const std::string& line) {
  static_cast<void>(!write(to, line.data(), line.size()));
}

// Reads what is there; false at the end.
bool take_stdin(std::string& text) {
  char block[4096];
  const ssize_t got = read(STDIN_FILENO, block, sizeof block);
  if (got <= 0) return false;
  text.append(block, static_cast<std::size_t>(got));
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  int listen_fd = -1, report_fd = -1;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--listen_fds") == 0) listen_fd = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--report_fd") == 0) report_fd = std::atoi(argv[i + 1]);
  }
  std::string text;
  while (text.find('\n') == std::string::npos) {
    if (!take_stdin(text)) return 3;
  }
  const std::string boot = text.substr(0, text.find('\n'));  // "term N"
  text.erase(0, boot.size() + 1);
  say(report_fd, "{\"boot\": \"" + boot + "\", \"pid\": " + std::to_string(getpid()) + "}\n");

  const std::size_t ranks = std::strtoul(order("FAKE_RANKS", "1").c_str(), nullptr, 10);
  std::vector<int> connections;
  const auto finish = [&](const std::string& how) {
    for (const int connection : connections) say(connection, "end\n");
    say(report_fd, "{\"result\": {\"how\": \"" + how + "\"}}\n");
    return how == "stopped" ? 75 : how == "failed" ? 1 : std::atoi(order("FAKE_CODE", "0").c_str());
  };
  for (;;) {
    // Some may have come with the boot message.
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      const std::string line = text.substr(0, end);
      text.erase(0, end + 1);
      std::cerr << line << std::endl;
      say(report_fd, "{\"heard\": " + line + "}\n");
      if (line.find("\"stop\"") != std::string::npos && order("FAKE_ENDS", "") != "never") return finish("stopped");
      if (line.find("\"fail\"") != std::string::npos) return finish("failed");
    }
    pollfd watched[2] = {{STDIN_FILENO, POLLIN, 0}, {listen_fd, POLLIN, 0}};
    poll(watched, 2, -1);
    if (watched[0].revents != 0 && !take_stdin(text)) return 4;  // the launcher is gone
    if (watched[1].revents != 0) {
      connections.push_back(accept4(listen_fd, nullptr, nullptr, SOCK_CLOEXEC));
      char name[256] = {};
      const ssize_t got = read(connections.back(), name, sizeof name - 1);
      if (got > 0) say(report_fd, "{\"joined\": " + std::string(name) + "}\n");
      const std::string rank = std::to_string(std::atoi(name + std::strlen("{\"rank\": ")));
      say(report_fd, "{\"rank_joined\": " + rank + "}\n");
      if (rank == order("FAKE_LOSES", "")) say(report_fd, "{\"rank_lost\": " + rank + ", \"was_member\": true}\n");
      if (connections.size() < ranks) continue;
      if ("term " + order("FAKE_DIES", "0") == boot) raise(SIGKILL);
      say(report_fd, "{\"complete\": true}\n");
      if (order("FAKE_ENDS", "at_once") == "at_once") return finish("done");
    }
  }
}
