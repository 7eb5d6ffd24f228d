#include <filesystem>
#include <iostream>

#include "launch/exit_code.h"
#include "launch/verbs.h"
#include "runtime/error.h"
#include "trainer/run/tuned_model.h"

namespace cadre::launch {

int merge(Arguments arguments) {
  arguments.require_known({"output", "base_model", "adapter"});
  const std::string& target = arguments.target("RUN folder");
  const std::filesystem::path output = arguments.get("output", (std::filesystem::path(target) / "merged").string());
  if (std::filesystem::exists(output) && !std::filesystem::is_empty(output)) {
    throw runtime::UserError("--output: " + output.string() + " is there and not empty; name another folder");
  }
  const run::TunedModel model = run::open_tuned_model(
      target, {.base_model = arguments.get("base_model"), .adapter = arguments.get("adapter"), .dtype = "float32"});
  if (!model.adapter) throw runtime::UserError(target + ": expected a folder with an adapter, found a whole model");
  run::write_merged(model, output);
  std::cout << output.string() << '\n';
  return kDone;
}

}  // namespace cadre::launch
