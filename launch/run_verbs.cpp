// Verbs that ask about a run or act on a live one.
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>

#include "launch/doctor.h"
#include "launch/exit_code.h"
#include "launch/status.h"
#include "launch/verbs.h"
#include "runtime/error.h"
#include "runtime/run_folder.h"
#include "trainer/run/verify.h"

namespace cadre::launch {

int show_doctor(Arguments arguments) {
  arguments.require_known({});
  return doctor(std::cout);
}

int show_status(Arguments arguments) {
  arguments.require_known({"json"});
  return status(arguments.target("RUN folder"), arguments.get("json") == "true", std::cout);
}

int verify(Arguments arguments) {
  arguments.require_known({});
  return run::verify(arguments.target("RUN folder"), std::cout) ? kDone : kFailed;
}

runtime::FolderState live_run(const std::string& target) {
  runtime::FolderState state = runtime::look_at_run_folder(target);
  if (!state.record) throw runtime::UserError(target + ": no run is here");
  if (!state.holder) throw runtime::UserError(target + ": the run is not alive; it is " + state.status());
  return state;
}

// The run ends at its next step boundary with a checkpoint.
int stop(Arguments arguments) {
  arguments.require_known({});
  const std::string& target = arguments.target("RUN folder");
  const runtime::FolderState state = live_run(target);
  if (state.holder->pid <= 0) throw runtime::UserError(target + ": its lock does not say which process holds it");
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  if (!state.holder->host.empty() && state.holder->host != host) {
    throw runtime::UserError(target + ": the run lives on " + state.holder->host + "; call cadre stop there");
  }
  if (kill(static_cast<pid_t>(state.holder->pid), SIGTERM) != 0) {
    throw runtime::UserError(
        runtime::say(target, ": process ", state.holder->pid, " cannot be signalled: ", std::strerror(errno)));
  }
  std::cout << "process " << state.holder->pid << " was asked to write a checkpoint and end\n";
  return kDone;
}

}  // namespace cadre::launch
