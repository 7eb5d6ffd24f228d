#include "comm/tcp_path.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace cadre::comm {
namespace {

// Longer than the coordinator's limit of silence: of a host that nobody reaches it is the judge.
constexpr unsigned kMostMilliseconds = 5000;
// What was sent after a long rest is unanswered too, for the time of one round trip.
constexpr unsigned kRetransmits = 3;

}  // namespace

void prepare(int socket) {
  const int yes = 1, idle = 2, pause = 1, probes = 3;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) != 0) return;
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &pause, sizeof pause);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
}

bool is_path_cut(int socket) {
  tcp_info info = {};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  return info.tcpi_unacked > 0 && info.tcpi_retransmits >= kRetransmits && info.tcpi_last_ack_recv > kMostMilliseconds;
}

}  // namespace cadre::comm
