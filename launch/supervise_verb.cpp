// The hidden verb of the process that leads a run under a user's own mpirun: own_mpirun.cpp starts it.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <sstream>

#include "launch/child_process.h"
#include "launch/early_signals.h"
#include "launch/exit_code.h"
#include "launch/last_words.h"
#include "launch/lifeline_server.h"
#include "launch/listener.h"
#include "launch/supervisor.h"
#include "launch/train_verb.h"
#include "launch/verbs.h"
#include "runtime/error.h"

namespace cadre::launch {
namespace {

struct Message {
  std::uint32_t ranks = 0;
  std::vector<std::string> hosts;
};

Message parse_message(const std::string& text) {
  Message message;
  std::istringstream lines(text);
  lines >> message.ranks;
  for (std::string host; lines >> host;) message.hosts.push_back(host);
  if (message.ranks == 0 || message.hosts.empty()) {
    throw runtime::UserError("cadre supervise is started by the first rank of a user's own mpirun, and by nobody else");
  }
  return message;
}

// mpirun may have bound the first rank to one of them.
void use_all_processors() {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (int i = 0; i < CPU_SETSIZE; ++i) CPU_SET(i, &all);
  static_cast<void>(sched_setaffinity(0, sizeof all, &all));  // which takes those that this user may have
}

}  // namespace

int supervise(Arguments arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  remember_early_signals();
  use_all_processors();
  const Message message = parse_message(receive_message());
  arguments.verb = "train";
  if (!arguments.targets.empty()) arguments.targets.erase(arguments.targets.begin());  // which was the verb
  const std::string token = random_token();
  std::vector<runtime::Endpoint> endpoints;
  Pipe text;
  std::optional<LifelineServer> lifelines;
  try {
    std::vector<Listener> listeners = listen_towards(message.hosts);
    endpoints = endpoints_of(listeners);
    text = make_pipe();
    lifelines.emplace(LifelineServerOptions{
        .token = token, .listeners = std::move(listeners), .ranks = message.ranks, .text = std::move(text.read)});
  } catch (const runtime::UserError& error) {
    answer_problem(error.what(), true);
    return kUserMustMend;
  } catch (const std::exception& error) {
    answer_problem(error.what(), false);
    return kFailed;
  }
  answer({.token = token, .coordinator = endpoints});
  dup2(text.write.get(), STDERR_FILENO);
  text.write.reset();
  int code = kFailed;
  try {
    code = lead_run(std::move(arguments), {.ranks = message.ranks,
                                           .hosts = message.hosts,
                                           .token = token,
                                           .hand_out = [&](const Boot& boot, const std::filesystem::path& logs) {
                                             lifelines->hand_out(boot, logs);
                                           }});
  } catch (...) {
    code = say_last_words();
  }
  const Descriptor null(open("/dev/null", O_WRONLY | O_CLOEXEC));
  dup2(null.get(), STDERR_FILENO);
  lifelines->finish(code);
  return code;
}

}  // namespace cadre::launch
