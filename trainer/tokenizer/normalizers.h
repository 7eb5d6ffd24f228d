// The normalizers of tokenizer.json: what happens to text before it is split.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "trainer/tokenizer/mapped_text.h"
#include "trainer/tokenizer/normalization.h"
#include "trainer/tokenizer/regex.h"

namespace cadre::tokenizer {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(MappedText& text) const = 0;
};

// In order, one after the other; none leaves the text as it is.
using Normalizers = std::vector<std::unique_ptr<const Normalizer>>;

void run_all(const Normalizers& normalizers, MappedText& text);

std::unique_ptr<const Normalizer> make_unicode_normalizer(NormalizationForm form);
// Puts `text` before any text that is not empty.
std::unique_ptr<const Normalizer> make_prepend(std::string text);
// `pattern` is not empty.
std::unique_ptr<const Normalizer> make_replace(std::string pattern, std::string content);
std::unique_ptr<const Normalizer> make_replace(Regex pattern, std::string content);
// White space at the ends.
std::unique_ptr<const Normalizer> make_strip(bool left, bool right);
std::unique_ptr<const Normalizer> make_lowercase();
std::unique_ptr<const Normalizer> make_byte_level_normalizer();

}  // namespace cadre::tokenizer
