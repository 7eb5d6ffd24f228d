#include "tests/unit/runtime/simulation/scenario.h"

#include <algorithm>

#include "runtime/chunks.h"
#include "runtime/error.h"

namespace cadre::simulation {

using namespace std::chrono_literals;

const char* name_of(Fault::What what) {
  constexpr const char* kNames[] = {"kill rank",        "crash host of rank",  "stop rank",
                                    "break connection", "lose connection",     "forget connection",
                                    "cut control",      "cut control one way", "cut peers",
                                    "slow network",     "kill coordinator",    "crash coordinator",
                                    "stop coordinator", "fail shards",         "fail publishing",
                                    "slow disk",        "drain host of rank",  "invite",
                                    "stop run"};
  return kNames[static_cast<int>(what)];
}

Scenario random_scenario(std::uint64_t seed) {
  Chance chance(seed);
  const auto one_of = [&](std::initializer_list<std::uint64_t> values) {
    return *(values.begin() + chance.below(values.size()));
  };
  Scenario scenario{.seed = seed};
  scenario.ranks = one_of({1, 2, 2, 3, 3, 4, 4, 5, 7});
  scenario.ranks_of_host = one_of({1, 1, 2});
  const std::uint64_t epochs = one_of({1, 2}), steps = 2 + chance.below(4);
  const auto micro_batches = static_cast<std::uint32_t>(1 + chance.below(9));
  for (std::uint64_t epoch = 0; epoch < epochs; ++epoch) {
    scenario.workload.epochs.push_back(
        {steps, micro_batches, 1 + static_cast<std::uint32_t>(chance.below(micro_batches))});
  }
  scenario.workload.total_steps = epochs * steps;
  scenario.workload.epochs.back().last_micro_batches = scenario.workload.epochs.front().last_micro_batches;
  scenario.workload.evaluation_units = static_cast<std::uint32_t>(chance.below(6));
  scenario.workload.elements = (1 + chance.below(6)) * runtime::kChunkElements - 7;
  scenario.workload.layout = "a layout";
  scenario.workload.digest = "a digest";
  scenario.policy = {.eval_every = one_of({0, 1, 2, 3}),
                     .save_every = one_of({0, 1, 2, 3}),
                     .patience = one_of({0, 0, 1, 2}),
                     .max_grad_norm = chance.one_in(2) ? 1.0 : 0.0,
                     .save_total_limit = one_of({0, 1, 2}),
                     .state_copies = static_cast<std::uint32_t>(one_of({1, 2, 2, 2, 3})),
                     .in_rounds = chance.one_in(5)};
  scenario.ranks_return = !chance.one_in(4);
  if (chance.one_in(3)) scenario.progress_limit = 5s;
  Chance shortage(seed ^ 0x9E3779B97F4A7C15U);
  if (scenario.ranks_return) scenario.rejoin_wait = shortage.one_in(4) ? 0s : shortage.one_in(2) ? 2s : 40s;
  if (shortage.one_in(3)) scenario.min_ranks = 1 + shortage.below(scenario.ranks);

  const Duration usual = 250ms + 40ms * scenario.workload.total_steps;
  Duration at{};
  for (std::uint64_t count = chance.below(6); count > 0; --count) {
    // Anywhere, or during what follows from the one before.
    at = chance.one_in(2) ? chance.between(0us, usual) : at + chance.between(0us, chance.one_in(3) ? 4s : 200ms);
    Fault fault{.at = at,
                .what = static_cast<Fault::What>(chance.below(static_cast<std::uint64_t>(Fault::What::kCount)))};
    // Most of all what the promise is about.
    if (chance.one_in(3)) fault.what = chance.one_in(3) ? Fault::What::kKillCoordinator : Fault::What::kKillRank;
    if (chance.one_in(6)) fault.what = chance.one_in(3) ? Fault::What::kInvite : Fault::What::kDrainHost;
    fault.who = static_cast<runtime::Rank>(chance.below(scenario.ranks));
    fault.other = static_cast<runtime::Rank>(chance.below(8));
    fault.lasts = chance.one_in(2) ? chance.between(0us, 500ms) : chance.between(0us, chance.one_in(3) ? 40s : 6s);
    if (fault.what == Fault::What::kSlowNetwork) fault.lasts = std::min<Duration>(fault.lasts, 5s);
    scenario.faults.push_back(fault);
  }
  return scenario;
}

std::string describe(const Scenario& scenario) {
  std::string text = runtime::say(
      "seed ", scenario.seed, ": ", scenario.ranks, " ranks, ", scenario.workload.total_steps, " steps of ",
      scenario.workload.epochs.front().micro_batches, " micro-batches, ",
      runtime::ChunkSpace{scenario.workload.elements}.count(), " chunks, ", scenario.policy.state_copies, " copies",
      scenario.policy.in_rounds ? ", in rounds" : "", scenario.ranks_return ? "" : ", ranks do not return", ", ",
      scenario.min_ranks, " ranks at least, others waited for ", scenario.rejoin_wait.count() / 1000000, " s");
  for (const Fault& fault : scenario.faults) {
    text += runtime::say("\n  ", static_cast<double>(fault.at.count()) / 1000, " ms: ", name_of(fault.what), ", who ",
                         fault.who, ", other ", fault.other, ", for ", static_cast<double>(fault.lasts.count()) / 1000,
                         " ms");
  }
  return text;
}

}  // namespace cadre::simulation
