// The hidden verb of a host's relay: what the first of its ranks starts.
#include <unistd.h>

#include <csignal>

#include "launch/child_process.h"
#include "launch/exit_code.h"
#include "launch/relay_process.h"
#include "launch/verbs.h"
#include "runtime/control_socket.h"
#include "runtime/relay.h"

namespace cadre::launch {

int relay(Arguments arguments) {
  arguments.require_known({});
  std::signal(SIGPIPE, SIG_IGN);
  // parse_boot() takes no longer one.
  const Boot boot = parse_boot(read_to_end(STDIN_FILENO, kMaxBootBytes, "boot message: stdin"));
  runtime::Relay relay(
      {.coordinator = boot.coordinator, .token = boot.token, .listener = runtime::listen_on(relay_endpoint(boot))});
  relay.run();
  return kDone;
}

}  // namespace cadre::launch
