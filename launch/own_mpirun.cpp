// `cadre train` started by a user's own mpirun: each process is a rank of that one island. The first of them starts the
// run's supervisor, a process in a session of its own, which outlives mpirun; there the launcher runs as elsewhere, but
// starts no islands. MPI gives the ranks their place and the supervisor's address; all else comes by their lifelines.
#include "launch/own_mpirun.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <optional>

#include "launch/child_process.h"
#include "launch/exit_code.h"
#include "launch/last_words.h"
#include "launch/lifeline.h"
#include "launch/mpi_boot.h"
#include "launch/run_logs.h"
#include "launch/supervisor.h"
#include "launch/train_verb.h"
#include "launch/verbs.h"
#include "runtime/compute_program.h"
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
  std::vector<std::string> command = {runtime::command_program().string(), "supervise"};
  for (std::string& word : command_line()) command.push_back(std::move(word));
  std::string message = runtime::say(island_size(), "\n");
  for (const std::string& host : hosts) message += host + "\n";
  return start_supervisor({.command = std::move(command), .message = std::move(message)});
}

// Nothing: the first rank has said why not, and its exit code is mpirun's, as long as others end with 0.
std::optional<MpiBoot> boot(int& code) {
  std::signal(SIGALRM, mpi_takes_too_long);
  alarm(kMpiLimitSeconds);
  std::optional<MpiBoot> result;
  bool is_said = false;
  const auto start = [&](const std::vector<std::string>& hosts) {
    try {
      return start_own_supervisor(hosts);
    } catch (...) {
      // Before the others hear of it: mpirun ends all ranks as soon as one of them has ended so.
      code = say_last_words();
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

}  // namespace

int train_as_rank(Arguments arguments) {
  if (arguments.get("dry_run") == "true") {
    if (rank_in_island() != 0) return kDone;
    return lead_run(std::move(arguments), {.ranks = island_size()});
  }
  std::signal(SIGPIPE, SIG_IGN);  // an mpirun that was killed
  int code = kDone;
  std::optional<MpiBoot> mpi = boot(code);
  return mpi ? live_as_rank(std::move(*mpi)) : code;
}

}  // namespace cadre::launch
