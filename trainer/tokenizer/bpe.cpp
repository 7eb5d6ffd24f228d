#include "trainer/tokenizer/bpe.h"

#include <algorithm>
#include <atomic>
#include <queue>

#include "runtime/error.h"
#include "trainer/tokenizer/mapped_text.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

constexpr char32_t kShortCharacters = 0x800;
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581
constexpr std::uint32_t kNoMerge = 0xFFFFFFFF;
// Up to this many symbols the lowest rank is looked for among all; beyond, a heap is faster.
constexpr std::size_t kFewSymbols = 48;
// A scratch that a giant word has blown up is given back.
constexpr std::size_t kKeptSymbols = 1u << 16;

std::atomic<std::uint32_t> next_serial{1};

std::string byte_token(unsigned char byte) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  return std::string("<0x") + kDigits[byte >> 4] + kDigits[byte & 15] + ">";
}

}  // namespace

struct Bpe::Scratch {
  std::vector<Symbol> symbols;
  std::vector<Merge> merges;                 // merge_few: of each symbol with its next
  std::vector<std::int64_t> previous, next;  // merge_many
  ShortWords short_words;
  LongWords long_words;

  static Scratch& of_this_thread() {
    thread_local Scratch scratch;
    return scratch;
  }
};

Bpe::Bpe(TokenTable tokens, const std::vector<std::pair<std::string_view, std::string_view>>& merges,
         BpeOptions options, const std::string& where)
    : tokens_(std::move(tokens)), options_(std::move(options)), where_(where), serial_(next_serial++) {
  TokenId highest = -1;
  for (const auto& entry : tokens_.entries()) highest = std::max(highest, entry.id);
  entry_by_id_.assign(static_cast<std::size_t>(highest + 1), 0);
  for (std::size_t i = 0; i < tokens_.size(); ++i)
    entry_by_id_[static_cast<std::size_t>(tokens_.entries()[i].id)] = static_cast<std::uint32_t>(i + 1);

  merges_.reserve(merges.size());
  std::string joined;
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const auto id_of = [&](std::string_view text) {
      const TokenId id = tokens_.find(text);
      if (id < 0)
        throw runtime::UserError(runtime::say(where_, ": model.merges[", rank, "] (\"", left.substr(0, 64), "\", \"",
                                              right.substr(0, 64), "\") needs the token \"", text.substr(0, 128),
                                              "\", which model.vocab does not have"));
      return id;
    };
    const std::size_t prefix = options_.continuing_subword_prefix.size();
    if (right.size() < prefix)
      throw runtime::UserError(runtime::say(where_, ": model.merges[", rank, "]: \"", right,
                                            "\" is shorter than continuing_subword_prefix"));
    joined = left;
    joined += right.substr(prefix);
    const TokenId a = id_of(left), b = id_of(right), both = id_of(joined);
    merges_.set(a, b, {static_cast<std::uint32_t>(rank), both});
  }

  short_characters_.assign(kShortCharacters, -1);
  for (char32_t c = 0; c < kShortCharacters; ++c) {
    std::string text;
    append_utf8(text, c);
    short_characters_[c] = tokens_.find(text);
  }
  for (int byte = 0; byte < 256; ++byte)
    byte_ids_[static_cast<std::size_t>(byte)] = tokens_.find(byte_token(static_cast<unsigned char>(byte)));
  if (options_.unk_token) unk_id_ = tokens_.find(*options_.unk_token);
  find_safe_cuts(merges);
}

// A merge across a cut joins a token whose last character stands before the cut with one that begins with the mark. A
// token made by merges spells what it covers, <0xHH> and unk_token excepted: these end in ">" or are left to the
// checks.
void Bpe::find_safe_cuts(const std::vector<std::pair<std::string_view, std::string_view>>& merges) {
  if (!options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty() || options_.ignore_merges)
    return;
  if (tokens_.find(kSpaceMark) < 0) return;
  if (options_.unk_token && (options_.unk_token->empty() || options_.unk_token->find(kSpaceMark) != std::string::npos))
    return;
  for (const auto& [left, right] : merges) {
    if (!right.starts_with(kSpaceMark)) continue;
    if (left.empty() || left.ends_with('>') || (options_.unk_token && left.ends_with(*options_.unk_token))) return;
    const char* at = previous_character(left.data() + left.size());
    const char32_t c = next_code_point(at);
    if (std::find(no_cut_after_.begin(), no_cut_after_.end(), c) == no_cut_after_.end()) no_cut_after_.push_back(c);
    if (no_cut_after_.size() > 64) return;
  }
  cuts_ = true;
}

bool Bpe::use_raw_bytes() {
  if (!options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty()) return false;
  std::array<TokenId, 256> ids;
  for (int byte = 0; byte < 256; ++byte) {
    ids[static_cast<std::size_t>(byte)] = tokens_.find(byte_level_character(static_cast<unsigned char>(byte)));
    if (ids[static_cast<std::size_t>(byte)] < 0) return false;
  }
  byte_ids_ = ids;
  raw_bytes_ = true;
  cuts_ = false;
  if (!options_.ignore_merges) return true;
  raw_tokens_.reserve(tokens_.size(), 0);
  std::string raw;
  for (const auto& entry : tokens_.entries()) {
    const std::string_view text = tokens_.text(entry);
    raw.clear();
    bool is_bytes = true;
    for (const char* at = text.data(); is_bytes && at != text.data() + text.size();) {
      const int byte = byte_of_character(next_code_point(at));
      is_bytes = byte >= 0;
      raw += static_cast<char>(byte);
    }
    if (is_bytes) raw_tokens_.add(raw, entry.id);
  }
  return true;
}

std::optional<std::string_view> Bpe::text_of(TokenId id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= entry_by_id_.size() || entry_by_id_[static_cast<std::size_t>(id)] == 0)
    return std::nullopt;
  return tokens_.text(tokens_.entries()[entry_by_id_[static_cast<std::size_t>(id)] - 1]);
}

std::size_t Bpe::next_cut(std::string_view word, std::size_t from) const {
  for (std::size_t at = from;;) {
    at = word.find(kSpaceMark, at);
    if (at == std::string_view::npos) return word.size();
    if (at > 0) {
      const char* before = previous_character(word.data() + at);
      if (std::find(no_cut_after_.begin(), no_cut_after_.end(), next_code_point(before)) == no_cut_after_.end())
        return at;
    }
    at += kSpaceMark.size();
  }
}

void Bpe::encode(std::string_view word, std::vector<TokenId>& ids, std::vector<std::uint32_t>* lengths) const {
  if (!cuts_ || word.size() <= kSpaceMark.size()) return encode_part(word, ids, lengths);
  for (std::size_t begin = 0; begin < word.size();) {
    const std::size_t end = next_cut(word, begin + 1);
    encode_part(word.substr(begin, end - begin), ids, lengths);
    begin = end;
  }
}

void Bpe::encode_part(std::string_view part, std::vector<TokenId>& ids, std::vector<std::uint32_t>* lengths) const {
  Scratch& scratch = Scratch::of_this_thread();
  if (part.size() <= ShortWords::kMaxBytes) return encode_cached(scratch.short_words, part, ids, lengths);
  if (part.size() <= LongWords::kMaxBytes) return encode_cached(scratch.long_words, part, ids, lengths);
  for (const Symbol& symbol : compute(part)) {
    ids.push_back(symbol.id);
    if (lengths != nullptr) lengths->push_back(symbol.length);
  }
  if (scratch.symbols.capacity() > kKeptSymbols) scratch.symbols = {};
}

template <typename Table>
void Bpe::encode_cached(Table& table, std::string_view part, std::vector<TokenId>& ids,
                        std::vector<std::uint32_t>* lengths) const {
  bool holds;
  auto& slot = table.at(serial_, part, holds);
  if (!holds) {
    const std::vector<Symbol>& symbols = compute(part);
    if (symbols.size() > Table::kMaxTokens) {
      for (const Symbol& symbol : symbols) {
        ids.push_back(symbol.id);
        if (lengths != nullptr) lengths->push_back(symbol.length);
      }
      return;
    }
    PackedToken packed[Table::kMaxTokens];
    for (std::size_t i = 0; i < symbols.size(); ++i)
      packed[i] = static_cast<std::uint32_t>(symbols[i].id) << 8 | symbols[i].length;
    table.fill(slot, serial_, part.size(), packed, symbols.size());
  }
  for (std::size_t i = 0; i < slot.count; ++i) {
    ids.push_back(static_cast<TokenId>(slot.tokens[i] >> 8));
    if (lengths != nullptr) lengths->push_back(slot.tokens[i] & 0xFF);
  }
}

// The tokens of `part`, valid until the next call on this thread.
const std::vector<Bpe::Symbol>& Bpe::compute(std::string_view part) const {
  Scratch& scratch = Scratch::of_this_thread();
  std::vector<Symbol>& symbols = scratch.symbols;
  symbols.clear();
  if (options_.ignore_merges) {
    const TokenId id = (raw_bytes_ ? raw_tokens_ : tokens_).find(part);
    if (id >= 0) {
      symbols.push_back({id, static_cast<std::uint32_t>(part.size())});
      return symbols;
    }
  }
  if (raw_bytes_)
    split_bytes(part, symbols);
  else
    split_characters(part, symbols);
  if (symbols.size() < 2) return symbols;
  if (symbols.size() <= kFewSymbols && options_.continuing_subword_prefix.empty())
    merge_few(scratch);
  else
    merge_many(scratch);
  return symbols;
}

void Bpe::split_bytes(std::string_view part, std::vector<Symbol>& symbols) const {
  for (const char c : part) symbols.push_back({byte_ids_[static_cast<unsigned char>(c)], 1});
}

TokenId Bpe::unknown_id() const {
  if (unk_id_ < 0)
    throw runtime::UserError(runtime::say(where_,
                                          ": the text has a character that the vocabulary lacks, and unk_token \"",
                                          *options_.unk_token, "\" is not in model.vocab either"));
  return unk_id_;
}

TokenId Bpe::id_of_character(std::string_view character, bool first, bool last, std::string& spelled) const {
  const bool prefixed = !first && !options_.continuing_subword_prefix.empty();
  const bool suffixed = last && !options_.end_of_word_suffix.empty();
  if (!prefixed && !suffixed) {
    spelled = character;
    const char* at = character.data();
    const char32_t c = next_code_point(at);
    return c < kShortCharacters ? short_characters_[c] : tokens_.find(character);
  }
  spelled.clear();
  if (prefixed) spelled += options_.continuing_subword_prefix;
  spelled += character;
  if (suffixed) spelled += options_.end_of_word_suffix;
  return tokens_.find(spelled);
}

// A character that is not in the vocabulary becomes its bytes where all of them are, else unk_token, else nothing. As
// in `tokenizers`, an unk_token waits for the next known character, so bytes in between come out before it.
void Bpe::split_characters(std::string_view part, std::vector<Symbol>& symbols) const {
  std::optional<Symbol> unknown;
  std::string spelled;
  for (std::size_t at = 0; at < part.size();) {
    const std::size_t length = length_by_lead(part[at]);
    const TokenId id = id_of_character(part.substr(at, length), at == 0, at + length == part.size(), spelled);
    at += length;
    const auto bytes = static_cast<std::uint32_t>(length);
    if (id >= 0) {
      if (unknown) symbols.push_back(*unknown);
      unknown.reset();
      symbols.push_back({id, bytes});
      continue;
    }
    const auto known_byte = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)] >= 0; };
    if (options_.byte_fallback && std::all_of(spelled.begin(), spelled.end(), known_byte)) {
      for (const char c : spelled) symbols.push_back({byte_ids_[static_cast<unsigned char>(c)], 1});
      continue;
    }
    if (!options_.unk_token) continue;
    if (unknown && options_.fuse_unk) {
      unknown->length += bytes;
      continue;
    }
    if (unknown) symbols.push_back(*unknown);
    unknown = Symbol{unknown_id(), bytes};
  }
  if (unknown) symbols.push_back(*unknown);
}

void Bpe::merge_few(Scratch& scratch) const {
  std::vector<Symbol>& symbols = scratch.symbols;
  std::vector<Merge>& merges = scratch.merges;
  const auto look = [&](std::size_t i) {
    const Merge* const merge = merges_.find(symbols[i].id, symbols[i + 1].id);
    merges[i] = merge == nullptr ? Merge{kNoMerge, -1} : *merge;
  };
  std::size_t count = symbols.size();
  merges.resize(count);
  for (std::size_t i = 0; i + 1 < count; ++i) look(i);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i)
      if (merges[i].rank < merges[best].rank) best = i;
    if (merges[best].rank == kNoMerge) break;
    symbols[best].id = merges[best].id;
    symbols[best].length += symbols[best + 1].length;
    std::copy(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 2,
              symbols.begin() + static_cast<std::ptrdiff_t>(count),
              symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    std::copy(merges.begin() + static_cast<std::ptrdiff_t>(best) + 2,
              merges.begin() + static_cast<std::ptrdiff_t>(count),
              merges.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    --count;
    if (best > 0) look(best - 1);
    if (best + 1 < count) look(best);
  }
  symbols.resize(count);
}

// A heap of merges by rank, then place; symbols are a linked list, those merged into the one before them have length 0.
void Bpe::merge_many(Scratch& scratch) const {
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t place;
    TokenId id;
    bool operator<(const Candidate& other) const {  // the heap gives the greatest
      return rank != other.rank ? rank > other.rank : place > other.place;
    }
  };
  std::vector<Symbol>& symbols = scratch.symbols;
  const auto count = static_cast<std::int64_t>(symbols.size());
  std::vector<std::int64_t>&previous = scratch.previous, &next = scratch.next;
  previous.resize(symbols.size());
  next.resize(symbols.size());
  std::vector<Candidate> candidates;
  for (std::int64_t i = 0; i < count; ++i) {
    previous[static_cast<std::size_t>(i)] = i - 1;
    next[static_cast<std::size_t>(i)] = i + 1 < count ? i + 1 : -1;
  }
  const auto candidate = [&](std::size_t left, std::size_t right) -> std::optional<Candidate> {
    const Merge* const merge = merges_.find(symbols[left].id, symbols[right].id);
    if (merge == nullptr) return std::nullopt;
    return Candidate{merge->rank, static_cast<std::uint32_t>(left), merge->id};
  };
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i)
    if (const auto found = candidate(i, i + 1)) candidates.push_back(*found);
  std::priority_queue<Candidate> queue(std::less<Candidate>(), std::move(candidates));
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    const std::size_t left = top.place;
    if (symbols[left].length == 0 || next[left] < 0) continue;
    const auto right = static_cast<std::size_t>(next[left]);
    const Merge* const merge = merges_.find(symbols[left].id, symbols[right].id);
    if (merge == nullptr || merge->id != top.id) continue;  // a neighbour has changed since
    symbols[left].id = top.id;
    symbols[left].length += symbols[right].length;
    symbols[right].length = 0;
    next[left] = next[right];
    if (next[left] >= 0) previous[static_cast<std::size_t>(next[left])] = static_cast<std::int64_t>(left);
    if (previous[left] >= 0)
      if (const auto found = candidate(static_cast<std::size_t>(previous[left]), left)) queue.push(*found);
    if (next[left] >= 0)
      if (const auto found = candidate(left, static_cast<std::size_t>(next[left]))) queue.push(*found);
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.length == 0; });
  if (previous.capacity() > kKeptSymbols) previous = {}, next = {};
}

}  // namespace cadre::tokenizer
