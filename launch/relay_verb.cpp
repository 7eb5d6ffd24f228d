// The hidden verb of a host's relay: what the first of its ranks starts.
#include <csignal>

#include <unistd.h>

#include <cerrno>

#include "launch/exit_code.h"
#include "launch/relay_process.h"
#include "launch/verbs.h"
#include "runtime/control_socket.h"
#include "runtime/relay.h"

namespace cadre::launch {

int relay(Arguments arguments) {
  arguments.require_known({});
  std::signal(SIGPIPE, SIG_IGN);
  std::string text;
  char block[4096];
  for (ssize_t got = 0; (got = read(STDIN_FILENO, block, sizeof block)) != 0;) {
    if (got < 0 && errno != EINTR) break;
    if (got > 0) text.append(block, static_cast<std::size_t>(got));
  }
  const Boot boot = parse_boot(text);
  runtime::Relay relay(
      {.coordinator = boot.coordinator, .token = boot.token, .listener = runtime::listen_on(relay_endpoint(boot))});
  relay.run();
  return kDone;
}

}  // namespace cadre::launch
