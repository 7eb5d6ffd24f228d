#include <iostream>

#include "launch/exit_code.h"
#include "launch/verbs.h"
#include "runtime/error.h"
#include "trainer/run/train.h"

namespace cadre::launch {

int train(Arguments arguments) {
  const bool dry_run = arguments.take_flag("dry_run");
  const bool quiet = arguments.take_flag("quiet");
  std::vector<std::string> switches;  // `--sample_packing` alone means true
  for (const config::KeyDescription& key : config::describe_keys()) {
    if (key.default_value == "true" || key.default_value == "false") switches.push_back(key.name);
  }
  arguments.require_values(switches);
  const std::string ranks = arguments.take("ranks", "1");
  if (integer_of("ranks", ranks, 1, 1 << 20) != 1 || arguments.has("hosts")) {
    throw runtime::UserError("more ranks than one are not built yet: leave out --ranks and --hosts");
  }
  const config::Resolved resolved = config::load(arguments.target("CONFIG.yaml"), arguments.options);
  if (dry_run) {
    std::cout << config::describe(resolved);
    for (const std::string& note : resolved.notes) std::cout << "# " << note << '\n';
    return kDone;
  }
  const run::Outcome outcome = run::train(resolved, run::Progress::style_for_stderr(quiet));
  if (outcome == run::Outcome::kStopped) return kResumable;
  if (!quiet) std::cerr << "done: the result is in " << resolved.config.output_dir << '\n';
  return kDone;
}

}  // namespace cadre::launch
