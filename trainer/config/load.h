// From YAML text and command-line overrides to a Config: strict, with the place of everything that is wrong.
#pragma once

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
// than 4 MB, anchors that expand without bound, a document that is not a map. `env_text` never expands.
Resolved load(const std::filesystem::path& file, const std::vector<Override>& overrides);
// The same from memory; `where` names the text in errors. What the fuzz target calls.
Resolved load_text(const std::string& text, const std::string& where, const std::vector<Override>& overrides);

// What `--dry-run` prints: the resolved whole as YAML, each line with its origin as a comment.
std::string describe(const Resolved& resolved);

}  // namespace cadre::config
