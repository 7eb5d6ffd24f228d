// The hidden verb of a rank's process: what mpirun starts.
#include <ATen/Parallel.h>

#include <algorithm>
#include <iostream>

#include "comm/tcp_transport.h"
#include "launch/environment.h"
#include "launch/exit_code.h"
#include "launch/mpi_boot.h"
#include "launch/pinning.h"
#include "launch/relay_process.h"
#include "launch/verbs.h"
#include "runtime/failpoints.h"
#include "runtime/local_address.h"
#include "runtime/run_lock.h"
#include "trainer/config/load.h"
#include "trainer/run/worker.h"

namespace cadre::launch {

namespace {

// Before any thread is started. Where the host has too few processors, or refuses, the system shares them out.
void take_processors(const MpiBoot& mpi, std::uint32_t threads) {
  pin_to(choose_processors({.allowed = allowed_processors(),
                            .local_rank = mpi.boot.first_on_host + mpi.local_rank,
                            .local_size = std::max(mpi.boot.ranks_on_host, mpi.local_size),
                            .threads = threads}));
  at::set_num_threads(static_cast<int>(threads));
}

}  // namespace

int run_rank(const MpiBoot& mpi) {
  allow_many_descriptors();
  runtime::arm_failpoints(std::to_string(mpi.run_rank()));
  runtime::reach(runtime::Failpoint::kStart, 0);
  const config::Resolved resolved = config::load_text(mpi.boot.configuration, "the run's configuration", {});
  const bool has_relay = mpi.local_size > mpi.boot.relay_above;
  if (has_relay && mpi.local_rank == 0) start_relay(mpi.boot);  // before this rank is pinned
  take_processors(mpi, static_cast<std::uint32_t>(resolved.config.threads));
  const runtime::RunHolder self = runtime::this_process();
  run::WorkerOptions options{.config = resolved.config,
                             .chat_template_date = mpi.boot.chat_template_date,
                             .prepared_key = mpi.boot.prepared_key,
                             .trace = mpi.boot.trace,
                             .check_machine = require_possible_instructions};
  options.self = {.rank = mpi.run_rank(), .host = self.host, .island = mpi.boot.island, .pid = self.pid};
  options.control = {.endpoints = mpi.boot.coordinator, .token = mpi.boot.token};
  if (has_relay) options.control.relay = relay_endpoint(mpi.boot);
  // Peers are reached by the networks of the coordinator, of which this machine may not have all; those of the same
  // host without one.
  options.make_transport = [&](const runtime::Member&) {
    return comm::make_tcp_transport(
        {.token = mpi.boot.token,
         .addresses = runtime::addresses_towards(mpi.boot.coordinator),
         .unix_socket = true,
         .tell_refusals = [](const std::string& line) { std::cerr << "transport: " + line + "\n"; }});
  };
  run::Worker worker(std::move(options));
  worker.run();
  return kDone;
}

int rank(Arguments arguments) {
  arguments.require_known({});
  return run_rank(boot_from_stdin());
}

}  // namespace cadre::launch
