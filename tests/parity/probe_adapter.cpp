// probe_adapter targets MODEL ADAPTER_CONFIG   one line a target: module, shape, rank, scaling
// probe_adapter saved MODEL ADAPTER_CONFIG     the configuration as it would be saved for this model
// probe_adapter open MODEL ADAPTER             opens an adapter folder; prints the names of its tensors
// MODEL is a folder whose config.json is read. An error goes to stderr with exit code 2.
#include <iostream>

#include "runtime/files.h"
#include "runtime/json_print.h"
#include "trainer/adapter_folder/adapter_folder.h"
#include "trainer/model_folder/folder.h"

int main(int count, char** arguments) {
  using namespace cadre;
  const std::vector<std::string> words(arguments + 1, arguments + count);
  if (words.size() != 3) {
    std::cerr << "usage: probe_adapter targets|saved|open MODEL ADAPTER\n";
    return 2;
  }
  try {
    const auto spec = model_folder::Folder::open(words[1], model_folder::Weights::kNone).spec();
    if (words[0] == "open") {
      const auto folder = adapter_folder::AdapterFolder::open(words[2], spec);
      for (const auto& [name, shape] : expected_tensors(spec, folder.config(), folder.targets())) {
        std::cout << name << "\n";
      }
      return 0;
    }
    const auto config = adapter_folder::parse_adapter_config(runtime::read_file(words[2], 1 << 20), words[2]);
    const auto targets = resolve_targets(spec, config);
    if (words[0] == "saved") {
      std::cout << print_adapter_config(saved_config(spec, config, targets));
      return 0;
    }
    for (const adapter_folder::Target& target : targets) {
      const boost::json::object line{{"module", target.module},
                                     {"in_features", target.in_features},
                                     {"out_features", target.out_features},
                                     {"r", target.r},
                                     {"scaling", target.scaling}};
      std::cout << runtime::json_line(line) << "\n";
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
