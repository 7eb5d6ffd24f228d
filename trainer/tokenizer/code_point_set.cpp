#include "trainer/tokenizer/code_point_set.h"

#include <algorithm>
#include <utility>

#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {

CodePointSet CodePointSet::of(char32_t first, char32_t last) {
  return from_runs({{first, last + 1}});
}

CodePointSet CodePointSet::from_runs(std::vector<Run> runs) {
  CodePointSet set;
  set.runs_ = std::move(runs);
  return set;
}

bool CodePointSet::contains(char32_t c) const {
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), c, [](char32_t x, const Run& r) { return x < r.begin; });
  return after != runs_.begin() && c < std::prev(after)->end;
}

CodePointSet CodePointSet::united(const CodePointSet& other) const {
  std::vector<Run> all;
  all.reserve(runs_.size() + other.runs_.size());
  std::merge(runs_.begin(), runs_.end(), other.runs_.begin(), other.runs_.end(), std::back_inserter(all),
             [](const Run& a, const Run& b) { return a.begin < b.begin; });
  std::vector<Run> joined;
  for (const Run& run : all) {
    if (!joined.empty() && run.begin <= joined.back().end)
      joined.back().end = std::max(joined.back().end, run.end);
    else
      joined.push_back(run);
  }
  return from_runs(std::move(joined));
}

CodePointSet CodePointSet::complement() const {
  std::vector<Run> gaps;
  char32_t begin = 0;
  for (const Run& run : runs_) {
    if (begin < run.begin) gaps.push_back({begin, run.begin});
    begin = run.end;
  }
  if (begin <= kLastCodePoint) gaps.push_back({begin, kLastCodePoint + 1});
  return from_runs(std::move(gaps));
}

CodePointSet CodePointSet::intersected(const CodePointSet& other) const {
  return complement().united(other.complement()).complement();
}

}  // namespace cadre::tokenizer
