// Our reduce-scatter and all-gather over a communicator against MPI_Allreduce, on the same ranks:
//   mpirun --allow-run-as-root --oversubscribe -n 2 build/transport_bench [unix]
// Prints, for each size, the median milliseconds of both and their ratio (above 1: we are slower), then the latency of
// a message of 8 bytes and the hash's speed.
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "comm/reduction_tree.h"
#include "comm/tcp_frame.h"
#include "comm/tcp_transport.h"
#include "runtime/digest.h"

namespace {

using namespace cadre;

double milliseconds_of(const std::function<void()>& action, int times) {
  std::vector<double> all;
  for (int run = 0; run < times; ++run) {
    MPI_Barrier(MPI_COMM_WORLD);
    const auto start = std::chrono::steady_clock::now();
    action();
    double own = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    double slowest = 0;
    MPI_Allreduce(&own, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    all.push_back(slowest);
  }
  std::ranges::sort(all);
  return all[all.size() / 2];
}

// Each rank adds its share of all ranks' values, in rank order, and gives the sum to all.
void all_reduce(comm::Communicator& communicator, std::span<float> values, std::vector<float>& inbox) {
  const auto size = static_cast<std::size_t>(communicator.size()), self = static_cast<std::size_t>(communicator.rank());
  const std::size_t share = values.size() / size;
  const auto part = [&](std::size_t of) { return values.subspan(of * share, share); };
  inbox.resize(size * share);
  comm::Group scatter, gather;
  for (std::size_t peer = 0; peer < size; ++peer) {
    if (peer == self) continue;
    const int number = static_cast<int>(peer);
    const auto in = std::span(inbox).subspan(peer * share, share);
    scatter.sends.push_back({.to = number, .bytes = std::as_bytes(part(peer))});
    scatter.receives.push_back({.from = number, .bytes = std::as_writable_bytes(in)});
    gather.sends.push_back({.to = number, .bytes = std::as_bytes(part(self))});
    gather.receives.push_back({.from = number, .bytes = std::as_writable_bytes(part(peer))});
  }
  communicator.wait(communicator.start(std::move(scatter)));
  for (std::size_t peer = 0; peer < size; ++peer) {
    if (peer != self) comm::add_in_place(part(self), std::span(inbox).subspan(peer * share, share));
  }
  communicator.wait(communicator.start(std::move(gather)));
}

runtime::View view_of(const comm::TcpTransport& transport, int size) {
  char own[128] = {}, host[] = "host";
  const runtime::Endpoint preferred = transport.endpoints().front();
  std::snprintf(own, sizeof own, "%s", preferred.address.c_str());
  std::vector<char> addresses(sizeof own * static_cast<std::size_t>(size));
  std::vector<int> ports(static_cast<std::size_t>(size));
  int port = preferred.port;
  MPI_Allgather(own, sizeof own, MPI_CHAR, addresses.data(), sizeof own, MPI_CHAR, MPI_COMM_WORLD);
  MPI_Allgather(&port, 1, MPI_INT, ports.data(), 1, MPI_INT, MPI_COMM_WORLD);
  runtime::View view{.stamp = {.term = 1, .generation = 0, .view = 1}};
  for (std::size_t member = 0; member < ports.size(); ++member) {
    view.members.push_back({.rank = static_cast<runtime::Rank>(member),
                            .incarnation = 1,
                            .host = host,
                            .endpoints = {{.address = &addresses[member * sizeof own],
                                           .port = static_cast<std::uint16_t>(ports[member])}}});
  }
  return view;
}

}  // namespace

int main(int count, char** arguments) {
  MPI_Init(&count, &arguments);
  int rank = 0, size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  {
    comm::TcpOptions options{.token = "the bench's token"};
    options.unix_socket = count > 1 && std::string(arguments[1]) == "unix";
    const auto transport = comm::make_tcp_transport(options);
    const auto communicator = transport->communicator(view_of(*transport, size), static_cast<runtime::Rank>(rank));
    if (rank == 0)
      std::printf("%d ranks, %s\n%10s %10s %10s %8s\n", size, count > 1 ? arguments[1] : "tcp", "KiB", "ours ms",
                  "MPI ms", "ratio");
    std::vector<float> inbox;
    for (const std::size_t bytes : {64u << 10, 1u << 20, 8u << 20, 64u << 20, 256u << 20}) {
      std::vector<float> values(bytes / sizeof(float), 1.0f);
      const int times = bytes <= (8u << 20) ? 31 : 5;
      const auto ours_once = [&] { all_reduce(*communicator, values, inbox); };
      const auto mpi_once = [&] {
        MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
      };
      ours_once();
      mpi_once();
      std::ranges::fill(values, 0.0f);
      const double ours = milliseconds_of(ours_once, times), theirs = milliseconds_of(mpi_once, times);
      if (rank == 0) std::printf("%10zu %10.3f %10.3f %8.2f\n", bytes >> 10, ours, theirs, ours / theirs);
    }
    std::vector<std::byte> small(8);
    constexpr int kTrips = 500;
    const auto trips = [&] {
      for (int trip = 0; trip < kTrips && rank < 2; ++trip) {
        const auto send = [&] {
          communicator->wait(communicator->start({.sends = {{.to = 1 - rank, .bytes = small}}}));
        };
        const auto receive = [&] {
          communicator->wait(communicator->start({.receives = {{.from = 1 - rank, .bytes = small}}}));
        };
        rank == 0 ? (send(), receive()) : (receive(), send());
      }
    };
    if (size > 1) {
      trips();
      const double latency = milliseconds_of(trips, 5) * 1000 / kTrips / 2;
      if (rank == 0) std::printf("8 bytes, one way: %.1f us\n", latency);
    }
    std::vector<std::byte> block(comm::kFrameBytes, std::byte{3});
    std::uint64_t sum = 0;
    const double hash = milliseconds_of(
        [&] {
          for (int time = 0; time < 1000; ++time) sum += runtime::digest_of(block);
        },
        3);
    const double gigabytes = 1000.0 * static_cast<double>(block.size()) / 1e9;
    if (rank == 0)
      std::printf("hash: %.1f GB/s (%llu)\n", gigabytes / (hash / 1000), static_cast<unsigned long long>(sum));
    MPI_Barrier(MPI_COMM_WORLD);
  }
  MPI_Finalize();
  return 0;
}
