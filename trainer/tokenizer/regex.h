// A backtracking matcher for the trees of regex_syntax.h, exact on Unicode because each class is a table of ours. Text
// is matched as UTF-8 in place: one lookup gives, for a character, the set of the pattern's classes that it belongs to.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/tokenizer/regex_syntax.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {

class Regex {
 public:
  struct Match {
    const char* begin;
    const char* end;
  };

  // UserError as parse_regex; also for more than 64 different classes.
  static Regex compile(std::string_view pattern, const std::string& where);

  // The matches in `text`, leftmost first, as Oniguruma's iterator gives them: an empty match right after a match is
  // passed over. `on_match(Match)` is called for each. UserError where a match takes too many steps.
  template <typename OnMatch>
  void for_each_match(std::string_view text, OnMatch&& on_match) const {
    const char* const end = text.data() + text.size();
    const char* from = text.data();
    const char* last_end = nullptr;
    Match match;
    while (from <= end && search(text, from, match)) {
      if (match.begin == match.end && match.end == last_end) {
        if (match.end == end) return;
        from = match.end + length_by_lead(*match.end);
        continue;
      }
      from = last_end = match.end;
      on_match(match);
    }
  }

 private:
  enum class Op : std::uint8_t {
    kAccept,
    kSet,        // one character of `mask`
    kRepeatSet,  // `min` to `max` characters of `mask`
    kChoice,     // children_[first..last), then next
    kRepeat,     // child, `min` to `max` times
    kRepeatEnd,  // the end of a kRepeat's child
    kLook,
    kAtomic,
    kAssertion,
  };
  struct Node {
    Op op;
    RegexTree::Greed greed = RegexTree::Greed::kGreedy;
    RegexTree::Assertion assertion = RegexTree::Assertion::kLineBegin;
    bool negative = false, behind = false;
    std::uint64_t mask = 0;
    std::uint32_t min = 0, max = 0;
    std::uint32_t next = 0;
    std::uint32_t child = 0;            // kRepeat, kLook, kAtomic
    std::uint32_t first = 0, last = 0;  // kChoice; kLook behind: branches
  };
  struct Branch {
    std::uint32_t start;
    std::uint32_t length;  // in characters, of a look-behind's branch
  };
  // What a match can begin with: characters of `mask`, or anything.
  struct Front {
    std::uint64_t mask = 0;
    bool may_be_empty = false;
  };
  struct Frame;
  struct Search;

  bool search(std::string_view text, const char* from, Match& match) const;
  const char* run(Search& search, std::uint32_t node, const char* at, const Frame* frame) const;
  const char* run_repeat(Search& search, const Node& node, const char* at, std::uint32_t count,
                         const Frame* frame) const;
  const char* run_repeat_set(Search& search, const Node& node, const char* at, const Frame* frame) const;
  bool holds(const Search& search, RegexTree::Assertion assertion, const char* at) const;
  bool looks(Search& search, const Node& node, const char* at) const;

  std::uint32_t add(const RegexTree& tree, std::uint32_t next);
  std::uint32_t add_sequence(const std::vector<RegexTree>& children, std::uint32_t next);
  std::uint32_t push(Node node);
  std::uint64_t mask_of(const CodePointSet& set);
  Front front_of(const RegexTree& tree);
  void build_classes();

  // The sets that the character at `at` belongs to.
  std::uint64_t sets_at(const char* at) const {
    const auto byte = static_cast<unsigned char>(*at);
    return byte < 0x80 ? ascii_[byte] : sets_beyond_ascii(at);
  }
  std::uint64_t sets_beyond_ascii(const char* at) const {
    const char32_t c = next_code_point(at);
    return class_sets_[classes_[static_cast<std::size_t>(pages_[c >> 8]) << 8 | (c & 0xFF)]];
  }

  std::string where_;
  std::vector<Node> nodes_;
  std::vector<Branch> branches_;
  std::vector<CodePointSet> sets_;
  std::uint64_t word_mask_ = 0;  // of \w, where \b asks for it
  // The branches of the outermost choice, with what each can begin with; viable_ones_ by ASCII character.
  struct Top {
    std::uint32_t start;
    Front front;
  };
  std::vector<Top> tops_;
  std::uint64_t first_mask_ = 0;
  bool may_be_empty_ = false;
  std::array<std::uint64_t, 128> viable_{};
  std::array<std::uint64_t, 128> ascii_{};
  std::vector<std::uint16_t> pages_;
  std::vector<std::uint8_t> classes_;
  std::vector<std::uint64_t> class_sets_;
};

}  // namespace cadre::tokenizer
