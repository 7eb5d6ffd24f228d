#include "trainer/tokenizer/bpe_trainer.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdint>
#include <map>
#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "runtime/error.h"
#include "runtime/json_print.h"
#include "trainer/tokenizer/mapped_text.h"
#include "trainer/tokenizer/pre_tokenizers.h"
#include "trainer/tokenizer/utf8.h"
#include "trainer/tokenizer/word_cache.h"

namespace cadre::tokenizer {
namespace {

// What stands once in the corpus teaches nothing.
constexpr std::int64_t kMinFrequency = 2;

struct Word {
  std::vector<std::uint32_t> symbols;
  std::int64_t count;
};

std::uint64_t pair_of(std::uint32_t left, std::uint32_t right) {
  return static_cast<std::uint64_t>(left) << 32 | right;
}

// How often each pair of neighbours stands in the corpus, kept up to date while pairs are merged.
class PairCounts {
 public:
  explicit PairCounts(std::vector<Word> words) : words_(std::move(words)) {
    for (std::uint32_t i = 0; i < words_.size(); ++i) {
      const auto& symbols = words_[i].symbols;
      for (std::size_t k = 0; k + 1 < symbols.size(); ++k)
        change(pair_of(symbols[k], symbols[k + 1]), words_[i].count, i);
    }
    for (const auto& [pair, count] : counts_) queue_.push({count, pair});
  }

  // The most frequent pair, or 0 for none that is frequent enough; `pair` is set.
  std::int64_t most_frequent(std::uint64_t& pair) {
    while (!queue_.empty()) {
      const Entry top = queue_.top();
      queue_.pop();
      const std::int64_t now = counts_[top.pair];
      if (now == top.count && now >= kMinFrequency) return pair = top.pair, now;
      if (now < top.count && now >= kMinFrequency) queue_.push({now, top.pair});
    }
    return 0;
  }

  void merge(std::uint64_t pair, std::uint32_t id) {
    const auto left = static_cast<std::uint32_t>(pair >> 32), right = static_cast<std::uint32_t>(pair);
    const std::vector<std::uint32_t> holders = std::move(holders_[pair]);
    holders_.erase(pair);
    std::vector<std::uint64_t> grown;
    for (const std::uint32_t index : holders) {
      Word& word = words_[index];
      std::vector<std::uint32_t> joined;
      for (std::size_t k = 0; k < word.symbols.size(); ++k) {
        if (k + 1 < word.symbols.size() && word.symbols[k] == left && word.symbols[k + 1] == right) {
          joined.push_back(id);
          ++k;
        } else {
          joined.push_back(word.symbols[k]);
        }
      }
      if (joined.size() == word.symbols.size()) continue;
      for (std::size_t k = 0; k + 1 < word.symbols.size(); ++k)
        change(pair_of(word.symbols[k], word.symbols[k + 1]), -word.count, index);
      for (std::size_t k = 0; k + 1 < joined.size(); ++k) {
        const std::uint64_t next = pair_of(joined[k], joined[k + 1]);
        change(next, word.count, index);
        if (joined[k] == id || joined[k + 1] == id) grown.push_back(next);
      }
      word.symbols = std::move(joined);
    }
    std::sort(grown.begin(), grown.end());
    grown.erase(std::unique(grown.begin(), grown.end()), grown.end());
    for (const std::uint64_t next : grown) queue_.push({counts_[next], next});
  }

 private:
  struct Entry {
    std::int64_t count;
    std::uint64_t pair;
    bool operator<(const Entry& other) const { return count != other.count ? count < other.count : pair > other.pair; }
  };

  void change(std::uint64_t pair, std::int64_t by, std::uint32_t word) {
    counts_[pair] += by;
    if (by <= 0) return;
    auto& holders = holders_[pair];
    if (holders.empty() || holders.back() != word) holders.push_back(word);
  }

  std::vector<Word> words_;
  std::unordered_map<std::uint64_t, std::int64_t> counts_;
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> holders_;  // words that have, or had, the pair
  std::priority_queue<Entry> queue_;
};

// The words of the corpus as bytes' ids, in the order of their bytes.
std::vector<Word> words_of(std::string_view corpus, const std::vector<std::string>& special_tokens,
                           std::uint32_t first_byte_id) {
  const Regex pattern = Regex::compile(kGpt2Pattern, "the trainer");
  std::unordered_map<std::string_view, std::int64_t> counts;
  const auto add = [&](std::string_view part) {
    if (part.empty()) return;
    pattern.for_each_match(part, [&](const Regex::Match& match) {
      ++counts[std::string_view(match.begin, static_cast<std::size_t>(match.end - match.begin))];
    });
  };
  // Special tokens are no text to learn from.
  while (!corpus.empty()) {
    std::size_t begin = corpus.size(), end = corpus.size();
    for (const std::string& token : special_tokens) {
      const std::size_t found = corpus.find(token);
      if (found < begin) begin = found, end = found + token.size();
    }
    add(corpus.substr(0, begin));
    corpus.remove_prefix(end);
  }
  const std::map<std::string_view, std::int64_t> sorted(counts.begin(), counts.end());
  std::vector<Word> words;
  words.reserve(sorted.size());
  for (const auto& [text, count] : sorted) {
    Word word{{}, count};
    for (const char c : text) word.symbols.push_back(first_byte_id + static_cast<unsigned char>(c));
    words.push_back(std::move(word));
  }
  return words;
}

boost::json::object byte_level(bool trim_offsets) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", trim_offsets}, {"use_regex", true}};
}

}  // namespace

std::string train_byte_level_bpe(std::string_view corpus, std::size_t vocab_size,
                                 const std::vector<std::string>& special_tokens) {
  if (const std::size_t bad = first_invalid_byte(corpus); bad != std::string_view::npos)
    throw runtime::UserError(runtime::say("the corpus: expected UTF-8, found another byte at byte ", bad));
  std::unordered_set<std::string_view> seen;
  for (const std::string& token : special_tokens)
    if (token.empty() || first_invalid_byte(token) != std::string_view::npos || !seen.insert(token).second)
      throw runtime::UserError("a special token must be UTF-8, not empty and not there twice, found \"" + token + "\"");
  const std::size_t least = special_tokens.size() + 256;
  if (vocab_size < least || vocab_size > kIdLimit)
    throw runtime::UserError(
        runtime::say("expected a vocabulary of ", least, " to ", kIdLimit, " tokens, found ", vocab_size));

  std::vector<std::string> texts(special_tokens);
  const auto first_byte_id = static_cast<std::uint32_t>(texts.size());
  for (int byte = 0; byte < 256; ++byte) texts.emplace_back(byte_level_character(static_cast<unsigned char>(byte)));
  std::unordered_set<std::string> taken(texts.begin(), texts.end());

  PairCounts counts(words_of(corpus, special_tokens, first_byte_id));
  boost::json::array merges;
  std::uint64_t pair;
  while (texts.size() < vocab_size && counts.most_frequent(pair) > 0) {
    const std::string &left = texts[pair >> 32], &right = texts[pair & 0xFFFFFFFF];
    std::string joined = left + right;
    // A special token's text, or a token that another pair already makes, is not made again: the pair stays apart.
    const bool is_new = taken.insert(joined).second;
    if (!is_new) continue;
    merges.push_back(boost::json::array{left, right});
    counts.merge(pair, static_cast<std::uint32_t>(texts.size()));
    texts.push_back(std::move(joined));
  }

  boost::json::object vocab;
  vocab.reserve(texts.size());
  for (std::size_t id = 0; id < texts.size(); ++id) vocab.emplace(texts[id], id);
  boost::json::array added;
  for (std::size_t id = 0; id < special_tokens.size(); ++id)
    added.push_back(boost::json::object{{"id", id},
                                        {"content", special_tokens[id]},
                                        {"single_word", false},
                                        {"lstrip", false},
                                        {"rstrip", false},
                                        {"normalized", false},
                                        {"special", true}});
  boost::json::object root{{"version", "1.0"},
                           {"truncation", nullptr},
                           {"padding", nullptr},
                           {"added_tokens", std::move(added)},
                           {"normalizer", nullptr},
                           {"pre_tokenizer", byte_level(true)},
                           {"post_processor", byte_level(false)},
                           {"decoder", byte_level(true)}};
  root["model"] = boost::json::object{{"type", "BPE"},
                                      {"dropout", nullptr},
                                      {"unk_token", nullptr},
                                      {"continuing_subword_prefix", nullptr},
                                      {"end_of_word_suffix", nullptr},
                                      {"fuse_unk", false},
                                      {"byte_fallback", false},
                                      {"ignore_merges", false},
                                      {"vocab", std::move(vocab)},
                                      {"merges", std::move(merges)}};
  return boost::json::serialize(root) + "\n";
}

std::string make_tokenizer_config(std::string_view end_of_text) {
  const boost::json::string_view token(end_of_text.data(), end_of_text.size());
  return runtime::json_pretty(boost::json::object{{"tokenizer_class", "PreTrainedTokenizerFast"},
                                                  {"bos_token", token},
                                                  {"eos_token", token},
                                                  {"pad_token", token},
                                                  {"clean_up_tokenization_spaces", false}}) +
         "\n";
}

}  // namespace cadre::tokenizer
