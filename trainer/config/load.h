// From YAML text and command-line overrides to a Config: strict, with the place of everything that is wrong.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "trainer/config/config.h"

namespace cadre::config {

// One `--learning_rate 1e-4`, `--learning-rate=1e-4` or `learning_rate=1e-4`; nested keys with dots and indices
// (`datasets.0.path`). The value is YAML (so `[a, b]` is a list).
struct Override {
  std::string key;
  std::string value;
};

struct Resolved {
  Config config;
  // For every key: where its value came from ("configs/a.yaml:12:3", "command line", "default",
  // "gradient_accumulation_steps × micro_batch_size"), and the value as YAML text. In schema order.
  struct Entry {
    std::string key, value, origin;
  };
  std::vector<Entry> entries;
  std::vector<std::string> notes;  // aliases used, consequences worth saying: one line each, shown once at start
};

// UserError `file:line:column: expected …, found …; …` for: unknown key (with "did you mean"), wrong type, value out
// of range, duplicate key, alias and name with different values, contradictions, nesting deeper than 32, a file larger
// than 4 MB, anchors that expand without bound, a document that is not a map. An override's error starts with
// `--key: ` in place of the file. `ranks`: those of the first start, for gradient_accumulation_steps.
// Overrides win over the file, and over its other name or its other way to say the same (warmup_steps over
// warmup_ratio); a null takes a key back to its default. Of one option given twice the last counts.
Resolved load(const std::filesystem::path& file, const std::vector<Override>& overrides, std::int64_t ranks = 1);
// The same from memory; `where` names the text in errors. What the fuzz target calls.
Resolved load_text(const std::string& text, const std::string& where, const std::vector<Override>& overrides,
                   std::int64_t ranks = 1);

// What `--dry-run` prints: the resolved whole as YAML, each line with its origin as a comment. load_text (with the same
// ranks) reads it back to the same Config.
std::string describe(const Resolved& resolved);

// Every key, for `--help`, in schema order; those of a dataset as `datasets.N.path`.
struct KeyDescription {
  std::string name, type, default_value, doc;  // default as YAML
};
std::vector<KeyDescription> describe_keys();

}  // namespace cadre::config
