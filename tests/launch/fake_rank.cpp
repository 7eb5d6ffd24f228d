// Stands in for a rank: boots by MPI, connects to the coordinator and says who it is, ends when that says so or is
// gone.
//
//   FAKE_DEATH    "RANK:PLACE": this rank of the island ends by SIGKILL before_mpi, after_boot (not joined yet) or
//                 joined; with before_mpi_exit by exit code 3
//   FAKE_STUBBORN the ranks do not end when the coordinator says so
//   FAKE_OWN      a folder for logs: this is a rank of a user's own mpirun, and fake_run beside it supervises
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

#include "launch/mpi_boot.h"
#include "launch/supervisor.h"

namespace {

void maybe_die(const std::string& place) {
  const char* order = std::getenv("FAKE_DEATH");
  const std::string here = std::to_string(cadre::launch::rank_in_island()) + ":" + place;
  if (order == nullptr || !std::string(order).starts_with(here)) return;
  if (here + "_exit" == order) {
    std::cerr << "a library is missing\n";
    _exit(3);
  }
  if (here == order) raise(SIGKILL);
}

cadre::launch::MpiBoot boot_as_told(const std::string& self) {
  const char* logs = std::getenv("FAKE_OWN");
  if (logs == nullptr) return cadre::launch::boot_from_stdin();
  return cadre::launch::boot_from_first_rank([&](const std::vector<std::string>& hosts) {
    std::string list;
    for (const std::string& host : hosts) list += (list.empty() ? "" : ",") + host;
    return cadre::launch::start_supervisor(
        {.command = {self.substr(0, self.rfind('/')) + "/fake_run", "supervise", logs}, .message = list});
  });
}

int connect_to(const cadre::runtime::Endpoint& endpoint) {
  const int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(endpoint.port);
  inet_pton(AF_INET, endpoint.address.c_str(), &address.sin_addr);
  if (connect(made, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return made;
  close(made);
  return -1;
}

}  // namespace

int main(int, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  maybe_die("before_mpi");
  const cadre::launch::MpiBoot boot = boot_as_told(argv[0]);
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  std::cerr << "rank " << boot.run_rank() << " on " << host << " of run " << boot.boot.run_id << std::endl;
  maybe_die("after_boot");
  for (;;) {
    const int connection = connect_to(boot.boot.coordinator.at(0));
    if (connection < 0) return 0;  // the coordinator is gone, and so is who would start it again
    const std::string who = "{\"rank\": " + std::to_string(boot.run_rank()) + ", \"pid\": " + std::to_string(getpid()) +
                            ", \"host\": \"" + host + "\"}";
    static_cast<void>(!write(connection, who.data(), who.size()));
    maybe_die("joined");
    char answer[16] = {};
    if (read(connection, answer, sizeof answer) > 0 && std::getenv("FAKE_STUBBORN") == nullptr) return 0;
    while (std::getenv("FAKE_STUBBORN") != nullptr) pause();
    close(connection);
  }
}
