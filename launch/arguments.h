// The command line: `cadre VERB TARGET --KEY VALUE …`, as values.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "trainer/config/load.h"

namespace cadre::launch {

struct Arguments {
  std::string verb;
  std::vector<std::string> targets;       // what is neither option nor KEY=VALUE
  std::set<std::string> bare = {};        // options given without a value: theirs is "true"
  std::vector<config::Override> options;  // in order; dashes in names are underscores; a bare --flag is "true"

  bool has(const std::string& key) const;
  // The last value given; `fallback` where there is none.
  std::string get(const std::string& key, const std::string& fallback = "") const;
  // Takes an option out; for those of the program itself, so that the rest are configuration keys.
  std::string take(const std::string& key, const std::string& fallback = "");
  // Takes a flag out. UserError unless it is true, false or bare.
  bool take_flag(const std::string& key);
  // UserError where an option other than a flag or one of `allowed` was given without a value.
  void require_values(const std::vector<std::string>& allowed = {}) const;
  // The one target. UserError says what a verb expects.
  const std::string& target(const std::string& what) const;
  // UserError names the first option that is not among `known`, with the nearest one that is.
  void require_known(const std::vector<std::string>& known) const;
};

// `--key value`, `--key=value` and `key=value`; a `--key` before another option or at the end is a flag.
Arguments parse_arguments(const std::vector<std::string>& words);

// UserError unless it is a whole number in [low, high].
std::int64_t integer_of(const std::string& key, const std::string& text, std::int64_t low, std::int64_t high);
// UserError unless it is a finite number in [low, high].
double number_of(const std::string& key, const std::string& text, double low, double high);

}  // namespace cadre::launch
