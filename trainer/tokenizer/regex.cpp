#include "trainer/tokenizer/regex.h"

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "runtime/error.h"
#include "trainer/tokenizer/unicode_tables.h"

namespace cadre::tokenizer {
namespace {

using Kind = RegexTree::Kind;

constexpr std::size_t kMaxSets = 64;      // bits of a mask
constexpr std::size_t kMaxBranches = 64;  // of the outermost choice, likewise
constexpr std::size_t kMaxNodes = 100000;
constexpr std::uint32_t kMaxRecursion = 4000;
// A search may go back this often, and as often again for each byte that is left; the patterns of real tokenizers need
// a few steps a byte.
constexpr std::uint64_t kFreeSteps = 10'000'000, kStepsPerByte = 64;

constexpr std::uint32_t kAccept = 0;
constexpr char32_t kPastLast = kLastCodePoint + 1;

}  // namespace

// Which repetition of which group is under way.
struct Regex::Frame {
  const Node* repeat;
  const Frame* outer;
  const char* begin;
  std::uint32_t count;
};

struct Regex::Search {
  const char* begin;
  const char* end;
  std::uint64_t steps_left;
  std::uint32_t depth = 0;
};

Regex Regex::compile(std::string_view pattern, const std::string& where) {
  Regex regex;
  regex.where_ = runtime::say(where, ": the regular expression \"", pattern.substr(0, 200), "\"");
  const RegexTree tree = parse_regex(pattern, where);
  regex.nodes_.push_back({.op = Op::kAccept});
  const std::vector<RegexTree> whole{tree};
  const std::vector<RegexTree>& tops = tree.kind == Kind::kAlternation ? tree.children : whole;
  const bool dispatched = tops.size() <= kMaxBranches;
  for (const RegexTree& top : dispatched ? tops : whole) {
    const Front front = regex.front_of(top);
    regex.tops_.push_back({regex.add(top, kAccept), front});
    regex.first_mask_ |= front.mask;
    regex.may_be_empty_ |= front.may_be_empty;
  }
  regex.build_classes();
  for (std::size_t c = 0; c < 128; ++c)
    for (std::size_t i = 0; i < regex.tops_.size(); ++i)
      if (regex.tops_[i].front.may_be_empty || (regex.tops_[i].front.mask & regex.ascii_[c]) != 0)
        regex.viable_[c] |= std::uint64_t{1} << i;
  return regex;
}

std::uint64_t Regex::mask_of(const CodePointSet& set) {
  auto found = std::find(sets_.begin(), sets_.end(), set);
  if (found == sets_.end()) {
    if (sets_.size() == kMaxSets)
      throw runtime::UserError(
          runtime::say(where_, " has more than ", kMaxSets, " different classes, which is not supported"));
    found = sets_.insert(sets_.end(), set);
  }
  return std::uint64_t{1} << (found - sets_.begin());
}

std::uint32_t Regex::push(Node node) {
  if (nodes_.size() == kMaxNodes) throw runtime::UserError(where_ + " is too long");
  nodes_.push_back(node);
  return static_cast<std::uint32_t>(nodes_.size() - 1);
}

std::uint32_t Regex::add_sequence(const std::vector<RegexTree>& children, std::uint32_t next) {
  for (auto child = children.rbegin(); child != children.rend(); ++child) next = add(*child, next);
  return next;
}

// Nodes are added from the last to the first, so that each knows what follows it.
std::uint32_t Regex::add(const RegexTree& tree, std::uint32_t next) {
  Node node{.op = Op::kAccept};
  node.next = next;
  switch (tree.kind) {
    case Kind::kSequence:
      return add_sequence(tree.children, next);
    case Kind::kSet:
      node.op = Op::kSet;
      node.mask = mask_of(tree.set);
      return push(node);
    case Kind::kAlternation: {
      std::vector<Branch> branches;
      for (const RegexTree& child : tree.children) branches.push_back({add(child, next), 0});
      node.op = Op::kChoice;
      node.first = static_cast<std::uint32_t>(branches_.size());
      branches_.insert(branches_.end(), branches.begin(), branches.end());
      node.last = static_cast<std::uint32_t>(branches_.size());
      return push(node);
    }
    case Kind::kRepeat: {
      node.greed = tree.greed, node.min = tree.min, node.max = tree.max;
      const RegexTree& child = tree.children[0];
      if (child.kind == Kind::kSet) {
        node.op = Op::kRepeatSet;
        node.mask = mask_of(child.set);
        return push(node);
      }
      node.op = Op::kRepeat;
      if (tree.greed == RegexTree::Greed::kPossessive) {
        node.greed = RegexTree::Greed::kGreedy;
        node.next = kAccept;
      }
      const std::uint32_t end = push({.op = Op::kRepeatEnd});
      node.child = add(child, end);
      const std::uint32_t repeat = push(node);
      if (tree.greed != RegexTree::Greed::kPossessive) return repeat;
      Node atomic{.op = Op::kAtomic};
      atomic.child = repeat, atomic.next = next;
      return push(atomic);
    }
    case Kind::kLook: {
      node.op = Op::kLook, node.negative = tree.negative, node.behind = tree.behind;
      const RegexTree& body = tree.children[0];
      if (!tree.behind) {
        node.child = add(body, kAccept);
        return push(node);
      }
      const std::vector<RegexTree> one{body};
      std::vector<Branch> branches;
      for (const RegexTree& branch : body.kind == Kind::kAlternation ? body.children : one)
        branches.push_back({add(branch, kAccept), fixed_length(branch)});
      node.first = static_cast<std::uint32_t>(branches_.size());
      branches_.insert(branches_.end(), branches.begin(), branches.end());
      node.last = static_cast<std::uint32_t>(branches_.size());
      return push(node);
    }
    case Kind::kAtomic:
      node.op = Op::kAtomic;
      node.child = add(tree.children[0], kAccept);
      return push(node);
    case Kind::kAssertion:
      node.op = Op::kAssertion;
      node.assertion = tree.assertion;
      if (tree.assertion == RegexTree::Assertion::kWordEdge || tree.assertion == RegexTree::Assertion::kNoWordEdge)
        word_mask_ = mask_of(regex_word());
      return push(node);
  }
  return next;
}

Regex::Front Regex::front_of(const RegexTree& tree) {
  switch (tree.kind) {
    case Kind::kSet:
      return {mask_of(tree.set), false};
    case Kind::kSequence: {
      Front front{0, true};
      for (const RegexTree& child : tree.children) {
        const Front one = front_of(child);
        front.mask |= one.mask;
        front.may_be_empty = one.may_be_empty;
        if (!front.may_be_empty) return front;
      }
      return front;
    }
    case Kind::kAlternation: {
      Front front;
      for (const RegexTree& child : tree.children) {
        const Front one = front_of(child);
        front.mask |= one.mask;
        front.may_be_empty |= one.may_be_empty;
      }
      return front;
    }
    case Kind::kRepeat: {
      Front front = front_of(tree.children[0]);
      front.may_be_empty |= tree.min == 0;
      return front;
    }
    case Kind::kAtomic:
      return front_of(tree.children[0]);
    case Kind::kLook:
    case Kind::kAssertion:
      return {0, true};
  }
  return {0, true};
}

// Code points that belong to the same sets are one class: a table of pages gives the class, another the class's sets.
void Regex::build_classes() {
  std::vector<std::uint64_t> changes;  // code point << 6 | set; each flips that set
  for (std::size_t i = 0; i < sets_.size(); ++i) {
    for (const auto& run : sets_[i].runs()) {
      changes.push_back(static_cast<std::uint64_t>(run.begin) << 6 | i);
      changes.push_back(static_cast<std::uint64_t>(run.end) << 6 | i);
    }
  }
  std::sort(changes.begin(), changes.end());
  std::map<std::uint64_t, std::uint8_t> class_of_sets;
  std::vector<std::uint8_t> flat(kLastCodePoint + 1);
  std::uint64_t sets = 0;
  std::size_t change = 0;
  char32_t at = 0;
  while (at <= kLastCodePoint) {
    for (; change < changes.size() && changes[change] >> 6 == at; ++change)
      sets ^= std::uint64_t{1} << (changes[change] & 63);
    const char32_t until =
        change < changes.size() ? std::min(static_cast<char32_t>(changes[change] >> 6), kPastLast) : kPastLast;
    auto found = class_of_sets.find(sets);
    if (found == class_of_sets.end()) {
      if (class_sets_.size() == 256)
        throw runtime::UserError(where_ + " tells more than 256 kinds of characters apart");
      found = class_of_sets.emplace(sets, static_cast<std::uint8_t>(class_sets_.size())).first;
      class_sets_.push_back(sets);
    }
    std::fill(flat.begin() + at, flat.begin() + until, found->second);
    for (; at < until && at < 128; ++at) ascii_[at] = sets;
    at = until;
  }
  std::map<std::string_view, std::uint16_t> page_of;
  for (std::size_t page = 0; page < flat.size() / 256; ++page) {
    const std::string_view content(reinterpret_cast<const char*>(flat.data()) + page * 256, 256);
    const auto [found, is_new] = page_of.emplace(content, static_cast<std::uint16_t>(page_of.size()));
    if (is_new) classes_.insert(classes_.end(), content.begin(), content.end());
    pages_.push_back(found->second);
  }
}

bool Regex::search(std::string_view text, const char* from, Match& match) const {
  Search search{text.data(), text.data() + text.size(), 0};
  search.steps_left = kFreeSteps + kStepsPerByte * static_cast<std::uint64_t>(search.end - from);
  for (const char* at = from;;) {
    if (at == search.end) {
      if (!may_be_empty_) return false;
      for (const Top& top : tops_) {
        if (!top.front.may_be_empty) continue;
        if (const char* end = run(search, top.start, at, nullptr)) return match = {at, end}, true;
      }
      return false;
    }
    const auto byte = static_cast<unsigned char>(*at);
    if (byte < 0x80) {
      for (std::uint64_t viable = viable_[byte]; viable != 0; viable &= viable - 1) {
        const Top& top = tops_[static_cast<std::size_t>(std::countr_zero(viable))];
        if (const char* end = run(search, top.start, at, nullptr)) return match = {at, end}, true;
      }
      ++at;
      continue;
    }
    const std::uint64_t sets = sets_beyond_ascii(at);
    for (const Top& top : tops_) {
      if (!top.front.may_be_empty && (top.front.mask & sets) == 0) continue;
      if (const char* end = run(search, top.start, at, nullptr)) return match = {at, end}, true;
    }
    at += length_by_lead(*at);
  }
}

// The end of the match that begins at `at` with `node` and all that follows it; nullptr where there is none.
const char* Regex::run(Search& search, std::uint32_t index, const char* at, const Frame* frame) const {
  for (;;) {
    const Node& node = nodes_[index];
    switch (node.op) {
      case Op::kAccept:
        return at;
      case Op::kSet:
        if (at == search.end || (sets_at(at) & node.mask) == 0) return nullptr;
        at += length_by_lead(*at);
        break;
      case Op::kRepeatSet:
        return run_repeat_set(search, node, at, frame);
      case Op::kLook:
        if (looks(search, node, at) == node.negative) return nullptr;
        break;
      case Op::kAssertion:
        if (!holds(search, node.assertion, at)) return nullptr;
        break;
      default: {
        if (search.steps_left-- == 0 || search.depth == kMaxRecursion)
          throw runtime::UserError(where_ + " takes too many steps on this text; simplify it");
        ++search.depth;
        const char* end = nullptr;
        if (node.op == Op::kChoice) {
          for (std::uint32_t i = node.first; i < node.last && end == nullptr; ++i)
            end = run(search, branches_[i].start, at, frame);
        } else if (node.op == Op::kRepeat) {
          end = run_repeat(search, node, at, 0, frame);
        } else if (node.op == Op::kRepeatEnd) {
          // A repetition that took nothing ends the loop.
          end = at == frame->begin ? run(search, frame->repeat->next, at, frame->outer)
                                   : run_repeat(search, *frame->repeat, at, frame->count + 1, frame->outer);
        } else {
          end = run(search, node.child, at, nullptr);
          if (end != nullptr) end = run(search, node.next, end, frame);
        }
        --search.depth;
        return end;
      }
    }
    index = node.next;
  }
}

const char* Regex::run_repeat(Search& search, const Node& node, const char* at, std::uint32_t count,
                              const Frame* frame) const {
  const auto once_more = [&]() -> const char* {
    if (count >= node.max) return nullptr;
    const Frame inner{&node, frame, at, count};
    return run(search, node.child, at, &inner);
  };
  if (count < node.min) return once_more();
  if (node.greed == RegexTree::Greed::kLazy) {
    const char* const end = run(search, node.next, at, frame);
    return end != nullptr ? end : once_more();
  }
  const char* const end = once_more();
  return end != nullptr ? end : run(search, node.next, at, frame);
}

const char* Regex::run_repeat_set(Search& search, const Node& node, const char* at, const Frame* frame) const {
  const char* const begin = at;
  std::uint32_t count = 0;
  const bool lazy = node.greed == RegexTree::Greed::kLazy;
  const std::uint32_t wanted = lazy ? node.min : node.max;
  while (count < wanted && at != search.end && (sets_at(at) & node.mask) != 0) {
    at += length_by_lead(*at);
    ++count;
  }
  if (count < node.min) return nullptr;
  if (node.next == kAccept && !lazy) return at;
  ++search.depth;
  if (search.depth > kMaxRecursion)
    throw runtime::UserError(where_ + " takes too many steps on this text; simplify it");
  const char* end = nullptr;
  for (;;) {
    end = run(search, node.next, at, frame);
    if (end != nullptr || node.greed == RegexTree::Greed::kPossessive) break;
    if (search.steps_left-- == 0) throw runtime::UserError(where_ + " takes too many steps on this text; simplify it");
    if (lazy) {
      if (count == node.max || at == search.end || (sets_at(at) & node.mask) == 0) break;
      at += length_by_lead(*at);
      ++count;
    } else {
      if (count == node.min || at == begin) break;
      at = previous_character(at);
      --count;
    }
  }
  --search.depth;
  return end;
}

bool Regex::looks(Search& search, const Node& node, const char* at) const {
  if (++search.depth > kMaxRecursion)
    throw runtime::UserError(where_ + " takes too many steps on this text; simplify it");
  bool found = false;
  if (!node.behind) {
    found = run(search, node.child, at, nullptr) != nullptr;
  } else {
    for (std::uint32_t i = node.first; i < node.last && !found; ++i) {
      const char* from = at;
      std::uint32_t left = branches_[i].length;
      for (; left > 0 && from != search.begin; --left) from = previous_character(from);
      found = left == 0 && run(search, branches_[i].start, from, nullptr) == at;
    }
  }
  --search.depth;
  return found;
}

bool Regex::holds(const Search& search, RegexTree::Assertion assertion, const char* at) const {
  switch (assertion) {
    case RegexTree::Assertion::kLineBegin:
      return at == search.begin || (at[-1] == '\n' && at != search.end);
    case RegexTree::Assertion::kLineEnd:
      return at == search.end || *at == '\n';
    case RegexTree::Assertion::kTextBegin:
      return at == search.begin;
    case RegexTree::Assertion::kTextEnd:
      return at == search.end;
    case RegexTree::Assertion::kTextEndOrLastNewline:
      return at == search.end || (*at == '\n' && at + 1 == search.end);
    case RegexTree::Assertion::kWordEdge:
    case RegexTree::Assertion::kNoWordEdge: {
      const bool before = at != search.begin && (sets_at(previous_character(at)) & word_mask_) != 0;
      const bool after = at != search.end && (sets_at(at) & word_mask_) != 0;
      return (before != after) == (assertion == RegexTree::Assertion::kWordEdge);
    }
  }
  return false;
}

}  // namespace cadre::tokenizer
