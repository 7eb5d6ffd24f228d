// `cadre train` started by a user's own mpirun: each process is a rank of that one island. The first of them starts the
// run's supervisor, a process in a session of its own, which outlives mpirun; there the launcher runs as elsewhere, but
// starts no islands. MPI gives the ranks their place and the supervisor's address; all else comes by their lifelines.
#include "launch/own_mpirun.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include "launch/child_process.h"
#include "launch/early_signals.h"
#include "launch/exit_code.h"
#include "launch/last_words.h"
#include "launch/lifeline.h"
#include "launch/lifeline_server.h"
#include "launch/listener.h"
#include "launch/mpi_boot.h"
#include "launch/run_logs.h"
#include "launch/supervisor.h"
#include "launch/train_verb.h"
#include "launch/verbs.h"
#include "runtime/error.h"

namespace cadre::launch {
namespace {

// Of MPI from its start to its end. A rank that is killed meanwhile leaves the others waiting for ever, with
// --enable-recovery.
constexpr unsigned kMpiLimitSeconds = 90;

void mpi_takes_too_long(int) {
  constexpr char kWords[] = "cadre: MPI did not start within 90 s: did another rank of this mpirun end?\n";
  static_cast<void>(!write(STDERR_FILENO, kWords, sizeof kWords - 1));
  _exit(kFailed);
}

// This process's words after its own name.
std::vector<std::string> command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  if (!words.empty()) words.erase(words.begin());
  return words;
}

std::string start_own_supervisor(const std::vector<std::string>& hosts) {
  std::vector<std::string> command = {std::filesystem::read_symlink("/proc/self/exe").string(), "supervise"};
  for (std::string& word : command_line()) command.push_back(std::move(word));
  std::string message = runtime::say(island_size(), "\n");
  for (const std::string& host : hosts) message += host + "\n";
  return start_supervisor({.command = std::move(command), .message = std::move(message)});
}

// Nothing: the first rank has said why not.
std::optional<MpiBoot> boot() {
  std::signal(SIGALRM, mpi_takes_too_long);
  alarm(kMpiLimitSeconds);
  std::optional<MpiBoot> result;
  bool is_said = false;
  const auto start = [&](const std::vector<std::string>& hosts) {
    try {
      return start_own_supervisor(hosts);
    } catch (...) {
      // Before the others hear of it: mpirun ends all ranks as soon as one of them has ended so.
      say_last_words();
      is_said = true;
      throw;
    }
  };
  try {
    result = boot_from_first_rank(start);
  } catch (const FirstRankFailed&) {
  } catch (...) {
    if (!is_said) throw;
  }
  alarm(0);
  return result;
}

// What libraries and this rank itself have to say goes where the launcher's islands have it.
void write_to_log(const std::filesystem::path& logs, std::uint32_t rank) {
  const std::string path = logs / RunLogs::name_of_rank(rank);
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file) return;  // on mpirun's terminal, then
  dup2(file.get(), STDOUT_FILENO);
  dup2(file.get(), STDERR_FILENO);
}

int live_as_rank(MpiBoot mpi) {
  const Descriptor terminal(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
  Lifeline lifeline({.endpoints = mpi.boot.coordinator,
                     .token = mpi.boot.token,
                     .rank = mpi.rank,
                     .terminal = terminal ? terminal.get() : STDERR_FILENO});
  const std::optional<Lifeline::Start> start = lifeline.start();
  if (start) {
    mpi.boot = start->boot;
    write_to_log(start->logs, mpi.run_rank());
    try {
      run_rank(mpi);
    } catch (...) {
      // The run goes on without it. This process stays to its end: mpirun would end the others with it.
      say_last_words();
    }
  }
  if (const std::optional<int> code = lifeline.exit_code()) return *code;
  const std::string words = "cadre: the run's supervisor is gone (" + lifeline.loss() + ")" +
                            (start ? "; the same command goes on from the newest checkpoint\n" : "\n");
  if (mpi.rank == 0) static_cast<void>(!write(terminal.get(), words.data(), words.size()));
  return start ? kResumable : kFailed;
}

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

int train_as_rank(Arguments arguments) {
  if (arguments.get("dry_run") == "true") {
    if (rank_in_island() != 0) return kDone;
    return lead_run(std::move(arguments), {.ranks = island_size()});
  }
  std::signal(SIGPIPE, SIG_IGN);  // an mpirun that was killed
  std::optional<MpiBoot> mpi = boot();
  return mpi ? live_as_rank(std::move(*mpi)) : kFailed;
}

int supervise(Arguments arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  remember_early_signals();
  use_all_processors();
  const Message message = parse_message(receive_message());
  arguments.verb = "train";
  if (!arguments.targets.empty()) arguments.targets.erase(arguments.targets.begin());  // which was the verb
  const std::string token = random_token();
  std::vector<Listener> listeners = listen_towards(message.hosts);
  const std::vector<runtime::Endpoint> endpoints = endpoints_of(listeners);
  Pipe text = make_pipe();
  LifelineServer lifelines(
      {.token = token, .listeners = std::move(listeners), .ranks = message.ranks, .text = std::move(text.read)});
  answer({.token = token, .coordinator = endpoints});
  dup2(text.write.get(), STDERR_FILENO);
  text.write.reset();
  int code = kFailed;
  try {
    code = lead_run(std::move(arguments), {.ranks = message.ranks,
                                           .hosts = message.hosts,
                                           .token = token,
                                           .hand_out = [&](const Boot& boot, const std::filesystem::path& logs) {
                                             lifelines.hand_out(boot, logs);
                                           }});
  } catch (...) {
    code = say_last_words();
  }
  const Descriptor null(open("/dev/null", O_WRONLY | O_CLOEXEC));
  dup2(null.get(), STDERR_FILENO);
  lifelines.finish(code);
  return code;
}

}  // namespace cadre::launch
