#include "trainer/chat/token_stream.h"

#include <algorithm>

#include "runtime/error.h"

namespace cadre::chat {

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "template text";
    case TokenKind::kPrintBegin:
      return "'{{'";
    case TokenKind::kPrintEnd:
      return "'}}'";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kBlockEnd:
      return "'%}'";
    case TokenKind::kName:
    case TokenKind::kOperator:
      return "'" + token.text + "'";
    case TokenKind::kString:
      return "a string";
    case TokenKind::kNumber:
      return "a number";
    case TokenKind::kEnd:
      return "the end of the template";
  }
  return "";
}

Token TokenStream::take() {
  Token token = current();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool TokenStream::is_any_name(std::initializer_list<std::string_view> names) const {
  return is(TokenKind::kName) && std::find(names.begin(), names.end(), current().text) != names.end();
}

bool TokenStream::skip_operator(std::string_view text) {
  if (!is_operator(text)) return false;
  take();
  return true;
}

bool TokenStream::skip_name(std::string_view text) {
  if (!is_name(text)) return false;
  take();
  return true;
}

void TokenStream::expect_operator(std::string_view text) {
  if (!skip_operator(text)) fail_expected("'" + std::string(text) + "'");
}

void TokenStream::expect_name(std::string_view text) {
  if (!skip_name(text)) fail_expected("'" + std::string(text) + "'");
}

std::string TokenStream::expect_any_name() {
  if (!is(TokenKind::kName)) fail_expected("a name");
  return take().text;
}

void TokenStream::expect(TokenKind kind) {
  if (!is(kind)) fail_expected(describe({.kind = kind, .line = 0, .text = {}, .number = {}}));
  take();
}

void TokenStream::fail_expected(const std::string& expected) const {
  fail(runtime::say("expected ", expected, ", found ", describe(current())));
}

}  // namespace cadre::chat
