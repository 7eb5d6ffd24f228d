// What it costs that all ranks have the sum of what each has, on the same ranks, in one run:
//   mpirun --allow-run-as-root --oversubscribe -n 2 build/transport_bench [unix] [micro-batches of the second case]
// For each size a plain reduce-scatter and all-gather over our communicator, exact reduction and all-gather (once with
// micro-batches that give each rank one node of the tree, once with others) and MPI_Allreduce, in turn; then the
// latency of a message of 8 bytes and the hash's speed. Medians, of the slowest rank.
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "comm/tcp_frame.h"
#include "comm/tcp_transport.h"
#include "runtime/digest.h"
#include "runtime/error.h"
#include "tests/bench/exchanges.h"

namespace {

using namespace cadre;
using bench::Milliseconds;
using Clock = std::chrono::steady_clock;

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

double milliseconds_of(const std::function<void()>& action) {
  const auto start = Clock::now();
  action();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Of the slowest rank; all begin together.
Milliseconds slowest(const std::function<Milliseconds()>& action) {
  MPI_Barrier(MPI_COMM_WORLD);
  const Milliseconds own = action();
  const double times[] = {own.reduce, own.all};
  double worst[2] = {};
  MPI_Allreduce(times, worst, 2, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return {worst[0], worst[1]};
}

double median_of(const std::function<void()>& action, int times) {
  std::vector<double> all;
  for (int run = 0; run < times; ++run) {
    all.push_back(slowest([&] { return Milliseconds{.all = milliseconds_of(action)}; }).all);
  }
  return median(all);
}

// What is timed together, each in turn.
struct Timed {
  std::function<Milliseconds()> action;
  std::vector<double> reduce = {}, all = {};

  void time() {
    const Milliseconds took = slowest(action);
    reduce.push_back(took.reduce);
    all.push_back(took.all);
  }
};

// Whole numbers, so that their sum does not depend on the order.
std::vector<float> contribution_of(int rank, std::size_t elements) {
  std::vector<float> values(elements);
  for (std::size_t i = 0; i < elements; ++i) values[i] = static_cast<float>(rank + 1) + static_cast<float>(i % 1021);
  return values;
}

void check_sum(const char* whose, std::span<float> result, int ranks, std::span<const std::size_t> nodes) {
  std::size_t count = 0;
  float of_ranks = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    count += nodes[static_cast<std::size_t>(rank)];
    of_ranks += static_cast<float>(nodes[static_cast<std::size_t>(rank)]) * static_cast<float>(rank + 1);
  }
  for (std::size_t i = 0; i < result.size(); ++i) {
    const float sum = of_ranks + static_cast<float>(count * (i % 1021));
    CADRE_CHECK(result[i] == sum, whose, ": element ", i, " is ", result[i], ", not ", sum);
  }
  std::ranges::fill(result, 0.0f);
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

struct World {
  comm::Communicator& communicator;
  const runtime::View& view;
  std::uint32_t misaligned = 0;  // micro-batches
};

void measure(const World& world, std::size_t bytes) {
  const int rank = world.communicator.rank(), size = world.communicator.size();
  const std::size_t elements = bytes / sizeof(float);
  std::vector<float> result(elements);
  bench::ExactExchange aligned(world.communicator, world.view, 4 * static_cast<std::uint32_t>(size), result);
  bench::ExactExchange misaligned(world.communicator, world.view, world.misaligned, result);
  // A copy for each node of this rank, as in a step, where no two are in the same memory.
  const std::vector<std::vector<float>> contributions(
      std::max({std::size_t{1}, aligned.own_nodes(), misaligned.own_nodes()}), contribution_of(rank, elements));
  bench::PlainExchange plain(world.communicator, contributions.front(), result);
  const auto all_reduce = [&] {
    MPI_Allreduce(contributions.front().data(), result.data(), static_cast<int>(elements), MPI_FLOAT, MPI_SUM,
                  MPI_COMM_WORLD);
  };

  enum { kPlain, kAligned, kMisaligned, kMpi };
  Timed timed[] = {{[&] { return plain.run(); }},
                   {[&] { return aligned.run(std::span(contributions).first(aligned.own_nodes())); }},
                   {[&] { return misaligned.run(std::span(contributions).first(misaligned.own_nodes())); }},
                   {[&] { return Milliseconds{.all = milliseconds_of(all_reduce)}; }}};
  const std::vector<std::size_t> one_each(static_cast<std::size_t>(size), 1);
  const std::vector<std::size_t> nodes[] = {one_each, aligned.nodes_by_rank(), misaligned.nodes_by_rank(), one_each};
  const char* names[] = {"plain", "aligned", "misaligned", "MPI"};
  for (int which = kPlain; which <= kMpi; ++which) {
    timed[which].action();
    check_sum(names[which], result, size, nodes[which]);
  }
  const int times = bytes <= (1u << 20) ? 51 : bytes <= (8u << 20) ? 21 : bytes <= (64u << 20) ? 9 : 5;
  for (int turn = 0; turn < times; ++turn) {
    for (Timed& one : timed) one.time();
  }
  if (rank != 0) return;
  const double of_plain = median(timed[kPlain].all), of_mpi = median(timed[kMpi].all);
  for (const auto& [which, exact] : {std::pair(kAligned, &aligned), std::pair(kMisaligned, &misaligned)}) {
    const double reduce = median(timed[which].reduce), all = median(timed[which].all);
    const double plain_reduce = median(timed[kPlain].reduce);
    std::printf("%7zu %6u %6.2f %9.3f %9.3f %6.2f %9.3f %9.3f %9.3f %12.2f %10.2f %10.2f\n", bytes >> 10,
                exact->micro_batches(), exact->bytes_factor(), plain_reduce, reduce, reduce / plain_reduce, of_plain,
                all, of_mpi, all / of_plain, of_plain / of_mpi, all / of_mpi);
  }
  std::fflush(stdout);
}

void measure_latency(comm::Communicator& communicator) {
  const int rank = communicator.rank();
  std::vector<std::byte> small(8);
  constexpr int kTrips = 500;
  const auto trips = [&] {
    for (int trip = 0; trip < kTrips && rank < 2; ++trip) {
      const auto send = [&] { communicator.wait(communicator.start({.sends = {{.to = 1 - rank, .bytes = small}}})); };
      const auto receive = [&] {
        communicator.wait(communicator.start({.receives = {{.from = 1 - rank, .bytes = small}}}));
      };
      rank == 0 ? (send(), receive()) : (receive(), send());
    }
  };
  trips();
  const double latency = median_of(trips, 5) * 1000 / kTrips / 2;
  if (rank == 0) std::printf("8 bytes, one way: %.1f us\n", latency);
}

void measure_hash(int rank) {
  std::vector<std::byte> block(comm::kFrameBytes, std::byte{3});
  std::uint64_t sum = 0;
  const double hash = median_of(
      [&] {
        for (int time = 0; time < 1000; ++time) sum += runtime::digest_of(block);
      },
      3);
  const double gigabytes = 1000.0 * static_cast<double>(block.size()) / 1e9;
  if (rank == 0)
    std::printf("hash: %.1f GB/s (%llu)\n", gigabytes / (hash / 1000), static_cast<unsigned long long>(sum));
}

}  // namespace

int main(int count, char** arguments) {
  MPI_Init(&count, &arguments);
  int rank = 0, size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  {
    comm::TcpOptions options{.token = "the bench's token"};
    std::uint32_t misaligned = 0;
    for (int a = 1; a < count; ++a) {
      if (std::string(arguments[a]) == "unix") {
        options.unix_socket = true;
      } else {
        misaligned = static_cast<std::uint32_t>(std::max(0, std::atoi(arguments[a])));
      }
    }
    const bool is_unix = options.unix_socket;
    const auto transport = comm::make_tcp_transport(std::move(options));
    const runtime::View view = view_of(*transport, size);
    const auto communicator = transport->communicator(view, static_cast<runtime::Rank>(rank));
    if (misaligned == 0) misaligned = bench::worst_micro_batches(view);
    if (rank == 0) {
      std::printf("%d ranks, %s\n%14s %6s %26s %29s %34s\n", size, is_unix ? "unix" : "tcp", "micro-", "bytes",
                  "reduce-scatter, ms", "and all-gather, ms", "ratios");
      std::printf("%7s %6s %6s %9s %9s %6s %9s %9s %9s %12s %10s %10s\n", "KiB", "batch", "sent", "plain", "exact",
                  "ratio", "plain", "exact", "MPI", "exact/plain", "plain/MPI", "exact/MPI");
    }
    for (const std::size_t bytes : {64u << 10, 1u << 20, 8u << 20, 64u << 20, 256u << 20}) {
      measure({*communicator, view, misaligned}, bytes);
    }
    if (size > 1) measure_latency(*communicator);
    measure_hash(rank);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  MPI_Finalize();
  return 0;
}
