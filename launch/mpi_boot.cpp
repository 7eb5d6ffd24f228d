#define OMPI_SKIP_MPICXX 1
#include "launch/mpi_boot.h"

#include <mpi.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "launch/child_process.h"
#include "launch/island.h"
#include "runtime/error.h"

namespace cadre::launch {
namespace {

std::uint32_t variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0 : static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10));
}

std::string read_stdin() {
  std::string text = read_to_end(STDIN_FILENO, kMaxBootBytes, "boot message: stdin");
  if (text.size() > kMaxBootBytes) throw runtime::UserError("boot message: more than 4 MiB on stdin");
  return text;
}

void check(int result, const char* what) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(result, text, &length);
  throw runtime::RunError(runtime::say(what, ": ", text));
}

// One broadcast of a size and one of the bytes. An empty message means that there is none.
std::string broadcast(const std::string& message) {
  std::uint64_t size = message.size();
  check(MPI_Bcast(&size, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD), "MPI_Bcast");
  if (size > kMaxBootBytes) {
    throw runtime::RunError(runtime::say("boot message: expected at most ", kMaxBootBytes, " bytes, found ", size));
  }
  std::string text = message;
  text.resize(size);
  check(MPI_Bcast(text.data(), static_cast<int>(size), MPI_BYTE, 0, MPI_COMM_WORLD), "MPI_Bcast");
  return text;
}

// The different names, by rank; empty but at the first rank.
std::vector<std::string> gather_hosts(int rank, int size) {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name = {};
  int length = 0;
  check(MPI_Get_processor_name(name.data(), &length), "MPI_Get_processor_name");
  std::vector<char> names(rank == 0 ? name.size() * static_cast<std::size_t>(size) : 0);
  check(MPI_Gather(name.data(), name.size(), MPI_CHAR, names.data(), name.size(), MPI_CHAR, 0, MPI_COMM_WORLD),
        "MPI_Gather");
  std::vector<std::string> hosts;
  for (std::size_t at = 0; at < names.size(); at += name.size()) {
    std::string host(&names[at], strnlen(&names[at], name.size()));
    if (std::find(hosts.begin(), hosts.end(), host) == hosts.end()) hosts.push_back(std::move(host));
  }
  return hosts;
}

// mpirun and its daemons end the shell; nobody else would end what it watches.
void end_with_watcher() {
  const pid_t watcher = static_cast<pid_t>(variable("CADRE_WATCHER"));
  if (watcher == 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != watcher) raise(SIGKILL);
}

}  // namespace

bool is_started_by_mpirun() {
  return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr;
}

std::uint32_t rank_in_island() {
  return variable("OMPI_COMM_WORLD_RANK");
}

std::uint32_t island_size() {
  return variable("OMPI_COMM_WORLD_SIZE");
}

MpiBoot boot_from_stdin() {
  end_with_watcher();
  MpiBoot result = boot_from_first_rank([](const auto&) { return read_stdin(); });
  const std::string line = runtime::say(kBootedLine, getpid(), "\n");
  if (write(STDERR_FILENO, line.data(), line.size()) < 0) throw runtime::RunError("boot message: stderr is closed");
  return result;
}

MpiBoot boot_from_first_rank(const std::function<std::string(const std::vector<std::string>& hosts)>& make_message) {
  check(MPI_Init(nullptr, nullptr), "MPI_Init");
  int rank = 0, size = 1;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const std::vector<std::string> hosts = gather_hosts(rank, size);
  std::string message;
  std::exception_ptr failure;
  try {
    if (rank == 0) message = make_message(hosts);
  } catch (...) {
    failure = std::current_exception();
  }
  const std::string text = broadcast(message);
  check(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier");
  MPI_Finalize();
  if (failure) std::rethrow_exception(failure);
  if (text.empty()) throw FirstRankFailed();
  return {.boot = parse_boot(text),
          .rank = static_cast<std::uint32_t>(rank),
          .local_rank = variable("OMPI_COMM_WORLD_LOCAL_RANK"),
          .local_size = variable("OMPI_COMM_WORLD_LOCAL_SIZE"),
          .size = static_cast<std::uint32_t>(size)};
}

}  // namespace cadre::launch
