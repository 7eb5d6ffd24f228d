// The view and commit protocol under random faults: thousands of seeded courses of a whole run, in simulated time. An
// environment variable makes it go on: CADRE_SIMULATION_RUNS=100000, from CADRE_SIMULATION_SEED on; one seed is told on
// stderr as it goes with CADRE_SIMULATION_TRACE=SEED.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/unit/runtime/simulation/simulated_cluster.h"

namespace cadre::simulation {
namespace {

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Simulation, WhateverHappensTheResultIsTheSame) {
  const std::uint64_t seed = number_from("CADRE_SIMULATION_SEED", 1), runs = number_from("CADRE_SIMULATION_RUNS", 2000);
  constexpr std::uint64_t kMostProblems = 5;
  Story all;
  std::uint64_t problems = 0;
  for (std::uint64_t run = seed; run < seed + runs && problems < kMostProblems; ++run) {
    const Story story = simulate(random_scenario(run), {.proves = run % 8 == 0});
    EXPECT_TRUE(story.problem.empty()) << story.problem;
    problems += !story.problem.empty();
    all.commits += story.commits;
    all.rollbacks += story.rollbacks;
    all.recoveries += story.recoveries;
    all.views += story.views;
    all.terms += story.terms;
    all.launches += story.launches;
    all.faults += story.faults;
    all.took += story.took;
  }
  std::printf(
      "%llu runs, %llu faults: %llu commits, %llu views, %llu rollbacks, %llu terms (%llu taken over without a "
      "step done again), %llu starts, %.0f simulated seconds\n",
      static_cast<unsigned long long>(runs), static_cast<unsigned long long>(all.faults),
      static_cast<unsigned long long>(all.commits), static_cast<unsigned long long>(all.views),
      static_cast<unsigned long long>(all.rollbacks), static_cast<unsigned long long>(all.terms),
      static_cast<unsigned long long>(all.recoveries), static_cast<unsigned long long>(all.launches),
      static_cast<double>(all.took.count()) / 1e6);
}

TEST(Simulation, OneSeedIsTold) {
  const std::uint64_t seed = number_from("CADRE_SIMULATION_TRACE", 0);
  if (seed == 0) return;
  const Scenario scenario = random_scenario(seed);
  std::fprintf(stderr, "%s\n", describe(scenario).c_str());
  const Story story = simulate(scenario, {.traces = true, .proves = true});
  EXPECT_TRUE(story.problem.empty()) << story.problem;
}

}  // namespace
}  // namespace cadre::simulation
