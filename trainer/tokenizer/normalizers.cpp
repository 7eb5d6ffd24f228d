#include "trainer/tokenizer/normalizers.h"

#include <cstring>
#include <utility>

#include "trainer/tokenizer/unicode_tables.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

class UnicodeNormalizer final : public Normalizer {
 public:
  explicit UnicodeNormalizer(NormalizationForm form) : form_(form) {}
  void apply(MappedText& text) const override { normalize(text, form_); }

 private:
  NormalizationForm form_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string text) : text_(std::move(text)) {}
  void apply(MappedText& text) const override {
    if (text.text().empty()) return;
    MappedText out = MappedText::like(text);
    out.reserve(text_.size() + text.text().size());
    out.append(text_, text.from(0));
    out.append(text.piece());
    text = std::move(out);
  }

 private:
  std::string text_;
};

// What replaces the bytes [begin, end) of a text; it comes from where the last character before `end` came from.
void append_replacement(MappedText& out, const MappedText& in, std::size_t end, const std::string& content) {
  out.append(content, end == 0 ? ByteRange{} : in.from(end - 1));
}

class ReplaceString final : public Normalizer {
 public:
  ReplaceString(std::string pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(MappedText& text) const override {
    const std::string& in = text.text();
    std::size_t found = find(in, 0);
    if (found == std::string::npos) return;
    MappedText out = MappedText::like(text);
    out.reserve(in.size() + in.size() / 4);
    std::size_t copied = 0;
    for (; found != std::string::npos; found = find(in, copied)) {
      if (copied < found) out.append(text.piece().part(copied, found));
      copied = found + pattern_.size();
      append_replacement(out, text, copied, content_);
    }
    out.append(text.piece().part(copied, in.size()));
    text = std::move(out);
  }

 private:
  std::size_t find(const std::string& in, std::size_t from) const {
    return pattern_.size() == 1 ? in.find(pattern_[0], from) : in.find(pattern_, from);
  }

  std::string pattern_, content_;
};

class ReplaceRegex final : public Normalizer {
 public:
  ReplaceRegex(Regex pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(MappedText& text) const override {
    if (text.text().empty()) return;
    MappedText out = MappedText::like(text);
    const char* const begin = text.text().data();
    std::size_t copied = 0;
    pattern_.for_each_match(text.text(), [&](const Regex::Match& match) {
      out.append(text.piece().part(copied, static_cast<std::size_t>(match.begin - begin)));
      copied = static_cast<std::size_t>(match.end - begin);
      append_replacement(out, text, copied, content_);
    });
    out.append(text.piece().part(copied, text.text().size()));
    text = std::move(out);
  }

 private:
  Regex pattern_;
  std::string content_;
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(MappedText& text) const override {
    const std::string& in = text.text();
    const char* begin = in.data();
    const char* end = begin + in.size();
    while (left_ && begin != end) {
      const char* after = begin;
      if (!white_space().contains(next_code_point(after))) break;
      begin = after;
    }
    while (right_ && begin != end) {
      const char* const last = previous_character(end);
      const char* from = last;
      if (!white_space().contains(next_code_point(from))) break;
      end = last;
    }
    if (static_cast<std::size_t>(end - begin) == in.size()) return;
    text = MappedText::copy(
        text.piece().part(static_cast<std::size_t>(begin - in.data()), static_cast<std::size_t>(end - in.data())));
  }

 private:
  bool left_, right_;
};

class Lowercase final : public Normalizer {
 public:
  void apply(MappedText& text) const override {
    MappedText out = MappedText::like(text);
    out.reserve(text.text().size());
    const char* const begin = text.text().data();
    const char* const end = begin + text.text().size();
    for (const char* at = begin; at != end;) {
      const ByteRange from = text.from(static_cast<std::size_t>(at - begin));
      const char32_t c = next_code_point(at);
      const auto [first, last] = lower_case().find(c);
      if (first == nullptr) out.append(c, from);
      for (const char32_t* to = first; to != last; ++to) out.append(*to, from);
    }
    text = std::move(out);
  }
};

class ByteLevelNormalizer final : public Normalizer {
 public:
  void apply(MappedText& text) const override { text = to_byte_level(text.piece()); }
};

}  // namespace

void run_all(const Normalizers& normalizers, MappedText& text) {
  for (const auto& normalizer : normalizers) normalizer->apply(text);
}

std::unique_ptr<const Normalizer> make_unicode_normalizer(NormalizationForm form) {
  return std::make_unique<UnicodeNormalizer>(form);
}
std::unique_ptr<const Normalizer> make_prepend(std::string text) {
  return std::make_unique<Prepend>(std::move(text));
}
std::unique_ptr<const Normalizer> make_replace(std::string pattern, std::string content) {
  return std::make_unique<ReplaceString>(std::move(pattern), std::move(content));
}
std::unique_ptr<const Normalizer> make_replace(Regex pattern, std::string content) {
  return std::make_unique<ReplaceRegex>(std::move(pattern), std::move(content));
}
std::unique_ptr<const Normalizer> make_strip(bool left, bool right) {
  return std::make_unique<Strip>(left, right);
}
std::unique_ptr<const Normalizer> make_lowercase() {
  return std::make_unique<Lowercase>();
}
std::unique_ptr<const Normalizer> make_byte_level_normalizer() {
  return std::make_unique<ByteLevelNormalizer>();
}

}  // namespace cadre::tokenizer
