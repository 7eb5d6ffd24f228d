// A set of code points as sorted runs; what regular expressions' classes are made of.
#pragma once

#include <cstdint>
#include <vector>

namespace cadre::tokenizer {

class CodePointSet {
 public:
  struct Run {
    char32_t begin, end;  // half-open
    bool operator==(const Run&) const = default;
  };

  CodePointSet() = default;
  static CodePointSet of(char32_t first, char32_t last);  // both inside
  // The runs must be sorted, apart from each other and not empty.
  static CodePointSet from_runs(std::vector<Run> runs);

  bool contains(char32_t c) const;
  bool empty() const { return runs_.empty(); }
  const std::vector<Run>& runs() const { return runs_; }
  bool operator==(const CodePointSet&) const = default;

  CodePointSet united(const CodePointSet& other) const;
  CodePointSet complement() const;
  CodePointSet intersected(const CodePointSet& other) const;

 private:
  std::vector<Run> runs_;
};

}  // namespace cadre::tokenizer
