#include "trainer/tokenizer/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "trainer/tokenizer/unicode_tables.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

bool ends_with_word(std::string_view text) {
  const char* at = previous_character(text.data() + text.size());
  return word_characters().contains(next_code_point(at));
}

bool begins_with_word(std::string_view text) {
  const char* at = text.data();
  return word_characters().contains(next_code_point(at));
}

std::size_t white_space_at_front(std::string_view text) {
  const char* at = text.data();
  while (at != text.data() + text.size()) {
    const char* after = at;
    if (!white_space().contains(next_code_point(after))) break;
    at = after;
  }
  return static_cast<std::size_t>(at - text.data());
}

std::size_t without_white_space_at_end(std::string_view text) {
  const char* end = text.data() + text.size();
  while (end != text.data()) {
    const char* const last = previous_character(end);
    const char* at = last;
    if (!white_space().contains(next_code_point(at))) break;
    end = last;
  }
  return static_cast<std::size_t>(end - text.data());
}

}  // namespace

AddedTokenFinder::AddedTokenFinder() : tokens_at_{nullptr} {}

bool AddedTokenFinder::add(std::string_view pattern, const AddedToken* token) {
  if (pattern.empty()) return false;
  if (!begins_[static_cast<unsigned char>(pattern[0])]) {
    begins_[static_cast<unsigned char>(pattern[0])] = true;
    ++begin_count_;
    only_begin_ = pattern[0];
  }
  std::uint32_t node = 0;
  for (const char c : pattern) {
    const auto [edge, is_new] = edges_.emplace(static_cast<std::uint64_t>(node) << 8 | static_cast<unsigned char>(c),
                                               static_cast<std::uint32_t>(tokens_at_.size()));
    if (is_new) tokens_at_.push_back(nullptr);
    node = edge->second;
  }
  if (tokens_at_[node] != nullptr) return false;
  tokens_at_[node] = token;
  return true;
}

std::vector<AddedTokenFinder::Found> AddedTokenFinder::find(std::string_view text) const {
  std::vector<Found> found;
  if (empty()) return found;
  std::size_t taken = 0;  // by the tokens before, white space included
  for (std::size_t at = 0; at < text.size();) {
    if (begin_count_ == 1) {
      at = text.find(only_begin_, at);
      if (at == std::string_view::npos) break;
    } else if (!begins_[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    const AddedToken* token = nullptr;
    std::size_t end = at;
    std::uint32_t node = 0;
    for (std::size_t i = at; i < text.size(); ++i) {
      const auto edge = edges_.find(static_cast<std::uint64_t>(node) << 8 | static_cast<unsigned char>(text[i]));
      if (edge == edges_.end()) break;
      node = edge->second;
      if (tokens_at_[node] != nullptr) token = tokens_at_[node], end = i + 1;
    }
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    at = end;
    if (token->single_word && ((begin > 0 && ends_with_word(text.substr(0, begin))) ||
                               (end < text.size() && begins_with_word(text.substr(end)))))
      continue;
    if (token->lstrip) begin = std::max(without_white_space_at_end(text.substr(0, begin)), taken);
    if (token->rstrip) end += white_space_at_front(text.substr(end));
    found.push_back({token, begin, end});
    taken = end;
  }
  return found;
}

}  // namespace cadre::tokenizer
