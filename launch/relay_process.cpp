#include "launch/relay_process.h"

#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "launch/child_process.h"
#include "runtime/authentication.h"
#include "runtime/compute_program.h"
#include "runtime/error.h"
#include "runtime/hex.h"

namespace cadre::launch {

runtime::Endpoint relay_endpoint(const Boot& boot) {
  const std::string name =
      runtime::hex_of(runtime::hmac_sha256(boot.token, runtime::say("relay of island ", boot.island)));
  return {.address = "@cadre-relay-" + name.substr(0, 32), .port = 0};
}

void start_relay(const Boot& boot) {
  try {
    // Far less than a pipe holds, and so it is in it before there is a reader that could go away.
    Pipe in = make_pipe();
    const std::string text = print_boot(
        {.run_id = boot.run_id, .token = boot.token, .coordinator = boot.coordinator, .island = boot.island});
    if (write(in.write.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      throw runtime::RunError("its boot message does not fit into a pipe");
    }
    start_detached({.command = {runtime::command_program().string(), "relay"}, .stdin_fd = in.read.get()});
  } catch (const std::exception& error) {
    std::cerr << "no relay for the ranks of this host: " << error.what() << '\n';
  }
}

}  // namespace cadre::launch
