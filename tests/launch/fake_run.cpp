// Stands in for `cadre train`: starts what its words say by the launcher, and prints what the coordinator reports and,
// last, {"exit_code", "reason", "result"}.
//
//   fake_run LOGS HOST:RANKS[,HOST:RANKS…] RANK_PROGRAM [NAME=VALUE…]    an empty HOST is this machine
//   fake_run supervise LOGS    for the ranks of a user's own mpirun, whose hosts come on stdin
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "launch/exit_code.h"
#include "launch/launcher.h"
#include "launch/supervisor.h"
#include "runtime/error.h"
#include "runtime/json_print.h"

using namespace cadre;

namespace {

std::vector<launch::IslandSpec> islands(const std::string& text) {
  std::vector<launch::IslandSpec> result;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    const std::size_t colon = word.rfind(':');
    result.push_back({word.substr(0, colon), static_cast<std::uint32_t>(std::atoi(word.c_str() + colon + 1))});
  }
  return result;
}

std::vector<std::string> hosts_in(const std::string& list) {
  std::vector<std::string> hosts;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) hosts.push_back(word);
  return hosts;
}

launch::Boot boot_for(std::uint32_t island, std::uint32_t first_rank, const std::vector<runtime::Endpoint>& listening) {
  return {.run_id = "fake",
          .token = "not for the command line",
          .coordinator = listening,
          .island = island,
          .first_rank = first_rank};
}

void print(const boost::json::object& line) {
  std::cout << runtime::json_line(line) << std::endl;
}

int run(int argc, char** argv) {
  if (argc < 3) throw runtime::UserError("fake_run LOGS HOST:RANKS RANK_PROGRAM [NAME=VALUE…]");
  const bool supervises = std::string(argv[1]) == "supervise";
  const std::string self = argv[0];
  launch::LaunchPlan plan{.coordinator = {self.substr(0, self.rfind('/')) + "/fake_coordinator"}};
  if (supervises) {
    plan.logs = argv[2];
    plan.other_hosts = hosts_in(launch::receive_message());
  } else {
    plan.logs = argv[1];
    plan.islands = islands(argv[2]);
    plan.rank = {argv[3]};
  }
  for (int i = 4; i < argc; ++i) {
    const std::string word = argv[i];
    plan.environment.emplace_back(word.substr(0, word.find('=')), word.substr(word.find('=') + 1));
  }
  using std::chrono::milliseconds;
  plan.limits = {.boot = milliseconds(8000),
                 .drain = milliseconds(1500),
                 .terminate = milliseconds(3000),
                 .fail = milliseconds(1000),
                 .deserted = milliseconds(1000)};
  launch::Launcher launcher(plan, {.coordinator_boot = [](std::uint64_t term, const auto&,
                                                          std::uint32_t) { return "term " + std::to_string(term); },
                                   .rank_boot = boot_for,
                                   .on_report = print});
  if (supervises) launch::answer(boot_for(0, 0, launcher.listening()));
  const launch::LaunchResult result = launcher.run();
  print({{"exit_code", result.exit_code}, {"reason", result.reason}, {"result", result.result}});
  return result.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const runtime::UserError& error) {
    std::cerr << error.what() << '\n';
    return launch::kUserMustMend;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return launch::kFailed;
  }
}
