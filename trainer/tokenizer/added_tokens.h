// The tokens that are cut out of text whole, before the model sees the rest.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "trainer/tokenizer/tokenizer.h"

namespace cadre::tokenizer {

struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and after it
  bool normalized = false;   // stands in normalized text, normalized itself
  bool special = false;      // left out by decode's skip_special_tokens
};

// Finds the leftmost, there the longest, of many tokens.
class AddedTokenFinder {
 public:
  struct Found {
    const AddedToken* token;
    std::size_t begin, end;  // with the white space that it takes
  };

  AddedTokenFinder();
  // `pattern` is what is looked for; false where it is empty or there already. `token` must stay where it is.
  bool add(std::string_view pattern, const AddedToken* token);
  bool empty() const { return tokens_at_.size() == 1; }

  // In order; a token that takes white space may begin before where the one before it ends.
  std::vector<Found> find(std::string_view text) const;

 private:
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;  // node << 8 | byte
  std::vector<const AddedToken*> tokens_at_;                // by node
  std::array<bool, 256> begins_{};
  int begin_count_ = 0;
  char only_begin_ = 0;
};

}  // namespace cadre::tokenizer
