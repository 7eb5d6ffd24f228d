// Template source to tokens, with Jinja's whitespace rules as transformers sets them: trim_blocks and lstrip_blocks on,
// one newline at the very end dropped, `-` and `+` beside a tag.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "trainer/chat/value.h"

namespace cadre::chat {

enum class TokenKind {
  kData,
  kPrintBegin,
  kPrintEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kNumber,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 0;
  std::string text;  // data, name, operator, the string's value
  Value number;      // integer or float
};

// A syntax error; `line` counts from 1.
class SyntaxFailure : public Failure {
 public:
  SyntaxFailure(int at_line, const std::string& message) : Failure(message), line(at_line) {}
  int line;
};

// The last token is kEnd. The source has to be UTF-8.
std::vector<Token> tokenize(std::string_view source);

}  // namespace cadre::chat
