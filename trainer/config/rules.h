// What the keys must be to each other: contradictions, what is missing, and what follows from what was given.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/config/given.h"

namespace cadre::config {

struct Derivation {
  std::map<std::string_view, std::string> origins;  // of keys whose value follows from others
  std::vector<std::string> notes;
};

// Takes out of `below` (the file) what a rival key in `above` (the command line) decides instead: warmup_steps on the
// command line ends warmup_ratio of the file. A note for each.
void drop_rivals(GivenKeys& below, const GivenKeys& above, std::vector<std::string>& notes);

// Checks `config`, whose keys are assigned, and fills in what follows. `where` names the file in messages about what is
// missing; `ranks` are those of the first start. UserError.
Derivation derive(Config& config, const GivenKeys& given, const std::string& where, std::int64_t ranks);

// One dataset, called `name` ("datasets.0") at `place`.
void check_dataset(const DatasetConfig& dataset, const GivenKeys& given, const std::string& name, const Place& place);

}  // namespace cadre::config
