// Expressions, from loosest to tightest: conditional, or, and, not, comparison, + −, ~, * / // %, **, unary, postfix
// and filters, primary.
#pragma once

#include <string>
#include <vector>

#include "trainer/chat/syntax_tree.h"
#include "trainer/chat/token_stream.h"

namespace cadre::chat {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  ExpressionPtr expression(bool with_conditional = true);
  // An expression, or a tuple without parentheses; ends also before the name `end`, where given.
  ExpressionPtr tuple(bool with_conditional = true, std::string_view end = {});
  CallArguments call_arguments();
  // A chain of filters on `operand` (null in a filter block). `inline_start`: the first has no `|` before it.
  ExpressionPtr filters(ExpressionPtr operand, bool inline_start);

  // The names that a macro's body mentions decide what it accepts; one entry an open macro.
  std::vector<MacroDefinition*> open_macros;
  int lenient = 0;  // > 0: inside an if, where an unknown filter or test is an error only when it is used
  // Unknown filters and tests elsewhere; taken back where they turn out to stand in an inline if.
  std::vector<SyntaxFailure> problems;

 private:
  ExpressionPtr make(ExpressionKind kind, int line) const;
  ExpressionPtr logical_or();
  ExpressionPtr logical_and();
  ExpressionPtr logical_not();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr parenthesized();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr operand);
  ExpressionPtr filters_and_tests(ExpressionPtr operand);
  ExpressionPtr subscript(ExpressionPtr operand);
  ExpressionPtr subscript_index();
  ExpressionPtr call(ExpressionPtr operand);
  ExpressionPtr test(ExpressionPtr operand);
  std::string dotted_name();
  void mention(const std::string& name);
  bool at_tuple_end(std::string_view end) const;
  // A chain of postfixes or filters nests to the left without recursion in the parser; the walkers do recurse.
  void check_chain(int links) const;
  void note(int line, const std::string& problem);

  TokenStream& stream_;
  int depth_ = 0;
};

}  // namespace cadre::chat
