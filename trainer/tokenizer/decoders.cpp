#include "trainer/tokenizer/decoders.h"

#include <utility>

#include "trainer/tokenizer/mapped_text.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

std::string replaced(std::string_view text, std::string_view pattern, std::string_view content) {
  std::string out;
  for (;;) {
    const std::size_t found = text.find(pattern);
    out += text.substr(0, found);
    if (found == std::string_view::npos) return out;
    out += content;
    text.remove_prefix(found + pattern.size());
  }
}

class ByteLevelDecoder final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) {
      const std::size_t before = bytes.size();
      for (const char* at = token.data(); at != token.data() + token.size();) {
        const int byte = byte_of_character(next_code_point(at));
        if (byte < 0) {  // not of that alphabet: the token stands for itself
          bytes.resize(before);
          bytes += token;
          break;
        }
        bytes += static_cast<char>(byte);
      }
    }
    std::string text;
    text.reserve(bytes.size());
    append_lossy_utf8(text, bytes);
    tokens.assign(1, std::move(text));
  }
};

class ReplaceStringDecoder final : public Decoder {
 public:
  ReplaceStringDecoder(std::string pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens)
      if (token.find(pattern_) != std::string::npos) token = replaced(token, pattern_, content_);
  }

 private:
  std::string pattern_, content_;
};

class ReplaceRegexDecoder final : public Decoder {
 public:
  ReplaceRegexDecoder(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      if (token.empty()) continue;
      std::string out;
      const char* copied = token.data();
      pattern_.for_each_match(token, [&](const Regex::Match& match) {
        out.append(copied, match.begin);
        out += content_;
        copied = match.end;
      });
      const char* const end = token.data() + token.size();
      out.append(copied, end);
      token = std::move(out);
    }
  }

 private:
  Regex pattern_;
  std::string content_;
};

int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

class ByteFallbackDecoder final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    out.reserve(tokens.size());
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (first_invalid_byte(bytes) == std::string_view::npos) {
        out.push_back(bytes);
      } else {
        std::string mark;
        append_utf8(mark, kReplacementCharacter);
        out.insert(out.end(), bytes.size(), mark);
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (token.size() == 6 && token.starts_with("<0x") && token[5] == '>') {
        // A plus sign before one digit counts as a number there.
        const int high = token[3] == '+' ? 0 : hex_digit(token[3]), low = hex_digit(token[4]);
        if (high >= 0 && low >= 0) {
          bytes += static_cast<char>(high * 16 + low);
          continue;
        }
      }
      flush();
      out.push_back(std::move(token));
    }
    flush();
    tokens = std::move(out);
  }
};

class FuseDecoder final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens.assign(1, std::move(all));
  }
};

class StripDecoder final : public Decoder {
 public:
  StripDecoder(char32_t content, std::size_t start, std::size_t stop) : start_(start), stop_(stop) {
    append_utf8(content_, content);
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view text = token;
      for (std::size_t i = 0; i < start_ && text.starts_with(content_); ++i) text.remove_prefix(content_.size());
      for (std::size_t i = 0; i < stop_ && text.ends_with(content_); ++i) text.remove_suffix(content_.size());
      if (text.size() != token.size()) token = std::string(text);
    }
  }

 private:
  std::string content_;
  std::size_t start_, stop_;
};

class MetaspaceDecoder final : public Decoder {
 public:
  MetaspaceDecoder(char32_t replacement, bool prepended) : prepended_(prepended) {
    append_utf8(replacement_, replacement);
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      if (tokens[i].find(replacement_) != std::string::npos)
        tokens[i] = replaced(tokens[i], replacement_, i == 0 && prepended_ ? "" : " ");
  }

 private:
  std::string replacement_;
  bool prepended_;
};

class BpeDecoder final : public Decoder {
 public:
  explicit BpeDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = replaced(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
  }

 private:
  std::string suffix_;
};

}  // namespace

std::unique_ptr<const Decoder> make_byte_level_decoder() {
  return std::make_unique<ByteLevelDecoder>();
}
std::unique_ptr<const Decoder> make_replace_decoder(std::string pattern, std::string content) {
  return std::make_unique<ReplaceStringDecoder>(std::move(pattern), std::move(content));
}
std::unique_ptr<const Decoder> make_replace_decoder(Regex pattern, std::string content) {
  return std::make_unique<ReplaceRegexDecoder>(std::move(pattern), std::move(content));
}
std::unique_ptr<const Decoder> make_byte_fallback_decoder() {
  return std::make_unique<ByteFallbackDecoder>();
}
std::unique_ptr<const Decoder> make_fuse_decoder() {
  return std::make_unique<FuseDecoder>();
}
std::unique_ptr<const Decoder> make_strip_decoder(char32_t content, std::size_t start, std::size_t stop) {
  return std::make_unique<StripDecoder>(content, start, stop);
}
std::unique_ptr<const Decoder> make_metaspace_decoder(char32_t replacement, bool prepended) {
  return std::make_unique<MetaspaceDecoder>(replacement, prepended);
}
std::unique_ptr<const Decoder> make_bpe_decoder(std::string suffix) {
  return std::make_unique<BpeDecoder>(std::move(suffix));
}

}  // namespace cadre::tokenizer
