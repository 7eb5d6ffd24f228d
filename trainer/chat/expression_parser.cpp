// The operators, from the loosest to the tightest; what they stand between is in operand_parser.cpp.
#include "trainer/chat/expression_parser.h"

#include <utility>

#include "runtime/error.h"

namespace cadre::chat {

ExpressionPtr ExpressionParser::make(ExpressionKind kind, int line) const {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = line;
  return node;
}

void ExpressionParser::check_chain(int links) const {
  if (links > NestingGuard::kMax)
    stream_.fail(runtime::say("more than ", NestingGuard::kMax, " filters, calls or subscripts in a row"));
}

void ExpressionParser::note(int line, const std::string& problem) {
  if (lenient == 0 && !problem.empty()) problems.emplace_back(line, problem);
}

ExpressionPtr ExpressionParser::expression(bool with_conditional) {
  const NestingGuard guard(depth_, stream_);
  const std::size_t known = problems.size();
  ExpressionPtr value = logical_or();
  int links = 0;
  while (with_conditional && stream_.is_name("if")) {
    check_chain(++links);
    ExpressionPtr node = make(ExpressionKind::kConditional, stream_.line());
    stream_.take();
    node->operands.push_back(logical_or());
    node->operands.push_back(std::move(value));
    node->operands.push_back(stream_.skip_name("else") ? expression() : nullptr);
    problems.erase(problems.begin() + static_cast<std::ptrdiff_t>(known), problems.end());
    value = std::move(node);
  }
  return value;
}

ExpressionPtr ExpressionParser::logical_or() {
  ExpressionPtr left = logical_and();
  if (!stream_.is_name("or")) return left;
  ExpressionPtr node = make(ExpressionKind::kOr, left->line);
  node->operands.push_back(std::move(left));
  while (stream_.skip_name("or")) node->operands.push_back(logical_and());
  return node;
}

ExpressionPtr ExpressionParser::logical_and() {
  ExpressionPtr left = logical_not();
  if (!stream_.is_name("and")) return left;
  ExpressionPtr node = make(ExpressionKind::kAnd, left->line);
  node->operands.push_back(std::move(left));
  while (stream_.skip_name("and")) node->operands.push_back(logical_not());
  return node;
}

ExpressionPtr ExpressionParser::logical_not() {
  if (!stream_.is_name("not")) return comparison();
  const NestingGuard guard(depth_, stream_);
  ExpressionPtr node = make(ExpressionKind::kNot, stream_.line());
  stream_.take();
  node->operands.push_back(logical_not());
  return node;
}

ExpressionPtr ExpressionParser::comparison() {
  ExpressionPtr left = sum();
  ExpressionPtr node;
  for (;;) {
    std::string op;
    if (stream_.is(TokenKind::kOperator)) {
      const std::string& text = stream_.current().text;
      if (text == "==" || text == "!=" || text == "<" || text == "<=" || text == ">" || text == ">=") op = text;
    } else if (stream_.is_name("in")) {
      op = "in";
    } else if (stream_.is_name("not") && stream_.ahead().kind == TokenKind::kName && stream_.ahead().text == "in") {
      op = "not in";
      stream_.take();
    }
    if (op.empty()) return node ? std::move(node) : std::move(left);
    if (!node) {
      node = make(ExpressionKind::kCompare, stream_.line());
      node->operands.push_back(std::move(left));
    }
    stream_.take();
    node->operators.push_back(op);
    node->operands.push_back(sum());
  }
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr left = concatenation();
  if (!stream_.is_operator("+") && !stream_.is_operator("-")) return left;
  ExpressionPtr node = make(ExpressionKind::kArithmetic, left->line);
  node->operands.push_back(std::move(left));
  while (stream_.is_operator("+") || stream_.is_operator("-")) {
    node->operators.push_back(stream_.take().text);
    node->operands.push_back(concatenation());
  }
  return node;
}

ExpressionPtr ExpressionParser::concatenation() {
  ExpressionPtr left = product();
  if (!stream_.is_operator("~")) return left;
  ExpressionPtr node = make(ExpressionKind::kConcatenate, left->line);
  node->operands.push_back(std::move(left));
  while (stream_.skip_operator("~")) node->operands.push_back(product());
  return node;
}

ExpressionPtr ExpressionParser::product() {
  const auto at_operator = [this] {
    return stream_.is_operator("*") || stream_.is_operator("/") || stream_.is_operator("//") ||
           stream_.is_operator("%");
  };
  ExpressionPtr left = power();
  if (!at_operator()) return left;
  ExpressionPtr node = make(ExpressionKind::kArithmetic, left->line);
  node->operands.push_back(std::move(left));
  while (at_operator()) {
    node->operators.push_back(stream_.take().text);
    node->operands.push_back(power());
  }
  return node;
}

// From the left, as Jinja has it, not as Python.
ExpressionPtr ExpressionParser::power() {
  ExpressionPtr left = unary(true);
  if (!stream_.is_operator("**")) return left;
  ExpressionPtr node = make(ExpressionKind::kArithmetic, left->line);
  node->operands.push_back(std::move(left));
  while (stream_.is_operator("**")) {
    node->operators.push_back(stream_.take().text);
    node->operands.push_back(unary(true));
  }
  return node;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  ExpressionPtr node;
  if (stream_.is_operator("-") || stream_.is_operator("+")) {
    const NestingGuard guard(depth_, stream_);
    const int line = stream_.line();
    const bool negative = stream_.take().text == "-";
    node = make(negative ? ExpressionKind::kNegative : ExpressionKind::kPositive, line);
    node->operands.push_back(unary(false));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filters ? filters_and_tests(std::move(node)) : std::move(node);
}

}  // namespace cadre::chat
