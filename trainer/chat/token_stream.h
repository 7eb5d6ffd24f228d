// The parser's view of the tokens, and the bound on its recursion.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trainer/chat/lexer.h"

namespace cadre::chat {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  int line() const { return current().line; }
  Token take();

  bool is(TokenKind kind) const { return current().kind == kind; }
  bool is_operator(std::string_view text) const { return is(TokenKind::kOperator) && current().text == text; }
  bool is_name(std::string_view text) const { return is(TokenKind::kName) && current().text == text; }
  bool is_any_name(std::initializer_list<std::string_view> names) const;
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view text);
  void expect_operator(std::string_view text);
  void expect_name(std::string_view text);
  std::string expect_any_name();
  void expect(TokenKind kind);

  [[noreturn]] void fail(const std::string& message) const { throw SyntaxFailure(line(), message); }
  [[noreturn]] void fail_expected(const std::string& expected) const;

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

std::string describe(const Token& token);

// Counts nested constructs, so that neither the parser nor what walks its tree can exhaust the stack.
class NestingGuard {
 public:
  NestingGuard(int& depth, const TokenStream& stream) : depth_(depth) {
    if (++depth_ > kMax) {
      --depth_;
      stream.fail("constructs nested more than " + std::to_string(kMax) + " deep");
    }
  }
  ~NestingGuard() { --depth_; }
  NestingGuard(const NestingGuard&) = delete;
  NestingGuard& operator=(const NestingGuard&) = delete;
  static constexpr int kMax = 80;

 private:
  int& depth_;
};

}  // namespace cadre::chat
