// What operators stand between: names, constants, lists and dicts, with their subscripts, calls, filters and tests.
#include <utility>

#include "trainer/chat/expression_parser.h"
#include "trainer/chat/filters.h"
#include "trainer/chat/tests.h"

namespace cadre::chat {

void ExpressionParser::mention(const std::string& name) {
  for (MacroDefinition* macro : open_macros) {
    if (name == "varargs") macro->uses_varargs = true;
    if (name == "kwargs") macro->uses_kwargs = true;
    if (name == "caller") macro->uses_caller = true;
  }
}

ExpressionPtr ExpressionParser::primary() {
  const int line = stream_.line();
  ExpressionPtr node = make(ExpressionKind::kConstant, line);
  switch (stream_.current().kind) {
    case TokenKind::kName: {
      std::string name = stream_.take().text;
      if (name == "true" || name == "True") {
        node->constant = Value::boolean(true);
      } else if (name == "false" || name == "False") {
        node->constant = Value::boolean(false);
      } else if (name == "none" || name == "None") {
        node->constant = Value::none();
      } else {
        if (name[0] >= '0' && name[0] <= '9') stream_.fail("invalid name '" + name + "'");
        mention(name);
        node->kind = ExpressionKind::kName;
        node->name = std::move(name);
      }
      return node;
    }
    case TokenKind::kString: {
      std::string text = stream_.take().text;
      while (stream_.is(TokenKind::kString)) text += stream_.take().text;
      node->constant = Value::string(text);
      return node;
    }
    case TokenKind::kNumber:
      node->constant = stream_.take().number;
      return node;
    case TokenKind::kOperator:
      if (stream_.is_operator("(")) return parenthesized();
      if (stream_.is_operator("[")) return list();
      if (stream_.is_operator("{")) return dict();
      [[fallthrough]];
    default:
      stream_.fail_expected("an expression");
  }
}

ExpressionPtr ExpressionParser::parenthesized() {
  const int line = stream_.line();
  stream_.take();
  ExpressionPtr node;
  if (stream_.is_operator(")"))
    node = make(ExpressionKind::kTuple, line);
  else
    node = tuple();
  stream_.expect_operator(")");
  return node;
}

bool ExpressionParser::at_tuple_end(std::string_view end) const {
  return stream_.is(TokenKind::kPrintEnd) || stream_.is(TokenKind::kBlockEnd) || stream_.is_operator(")") ||
         (!end.empty() && stream_.is_name(end));
}

ExpressionPtr ExpressionParser::tuple(bool with_conditional, std::string_view end) {
  if (at_tuple_end(end)) stream_.fail_expected("an expression");
  ExpressionPtr first = expression(with_conditional);
  if (!stream_.is_operator(",")) return first;
  ExpressionPtr node = make(ExpressionKind::kTuple, first->line);
  node->operands.push_back(std::move(first));
  while (stream_.skip_operator(",") && !at_tuple_end(end)) node->operands.push_back(expression(with_conditional));
  return node;
}

ExpressionPtr ExpressionParser::list() {
  ExpressionPtr node = make(ExpressionKind::kList, stream_.line());
  stream_.take();
  while (!stream_.is_operator("]")) {
    if (!node->operands.empty()) stream_.expect_operator(",");
    if (stream_.is_operator("]")) break;
    node->operands.push_back(expression());
  }
  stream_.take();
  return node;
}

ExpressionPtr ExpressionParser::dict() {
  ExpressionPtr node = make(ExpressionKind::kDict, stream_.line());
  stream_.take();
  while (!stream_.is_operator("}")) {
    if (!node->operands.empty()) stream_.expect_operator(",");
    if (stream_.is_operator("}")) break;
    node->operands.push_back(expression());
    stream_.expect_operator(":");
    node->operands.push_back(expression());
  }
  stream_.take();
  return node;
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr operand) {
  for (int links = 0;; check_chain(++links)) {
    if (stream_.is_operator(".") || stream_.is_operator("["))
      operand = subscript(std::move(operand));
    else if (stream_.is_operator("("))
      operand = call(std::move(operand));
    else
      return operand;
  }
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr operand) {
  for (int links = 0;; check_chain(++links)) {
    if (stream_.is_operator("|"))
      operand = filters(std::move(operand), false);
    else if (stream_.is_name("is"))
      operand = test(std::move(operand));
    else if (stream_.is_operator("("))
      operand = call(std::move(operand));
    else
      return operand;
  }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr operand) {
  ExpressionPtr node = make(ExpressionKind::kSubscript, stream_.line());
  node->operands.push_back(std::move(operand));
  if (stream_.take().text == ".") {
    if (stream_.is(TokenKind::kName)) {
      node->kind = ExpressionKind::kAttribute;
      node->name = stream_.take().text;
      return node;
    }
    if (!stream_.is(TokenKind::kNumber) || !stream_.current().number.is(Kind::kInteger)) {
      stream_.fail_expected("a name or number after '.'");
    }
    ExpressionPtr index = make(ExpressionKind::kConstant, stream_.line());
    index->constant = stream_.take().number;
    node->operands.push_back(std::move(index));
    return node;
  }
  std::vector<ExpressionPtr> indices;
  while (!stream_.is_operator("]")) {
    if (!indices.empty()) stream_.expect_operator(",");
    indices.push_back(subscript_index());
  }
  stream_.take();
  if (indices.size() == 1) {
    node->operands.push_back(std::move(indices[0]));
  } else {
    ExpressionPtr several = make(ExpressionKind::kTuple, node->line);
    for (const ExpressionPtr& index : indices) {
      if (index->kind == ExpressionKind::kSlice) stream_.fail("a subscript of several slices is not implemented");
    }
    several->operands = std::move(indices);
    node->operands.push_back(std::move(several));
  }
  return node;
}

ExpressionPtr ExpressionParser::subscript_index() {
  ExpressionPtr start;
  const int line = stream_.line();
  if (!stream_.is_operator(":")) {
    start = expression();
    if (!stream_.is_operator(":")) return start;
  }
  const auto part = [this]() -> ExpressionPtr {
    if (stream_.is_operator(":") || stream_.is_operator("]") || stream_.is_operator(",")) return nullptr;
    return expression();
  };
  ExpressionPtr node = make(ExpressionKind::kSlice, line);
  node->operands.push_back(std::move(start));
  stream_.expect_operator(":");
  node->operands.push_back(part());
  node->operands.push_back(stream_.skip_operator(":") ? part() : nullptr);
  return node;
}

CallArguments ExpressionParser::call_arguments() {
  const NestingGuard guard(depth_, stream_);
  stream_.expect_operator("(");
  CallArguments out;
  const auto ensure = [this](bool valid) {
    if (!valid) stream_.fail("invalid order of arguments in a call");
  };
  for (bool first = true; !stream_.is_operator(")"); first = false) {
    if (!first) {
      stream_.expect_operator(",");
      if (stream_.is_operator(")")) break;
    }
    if (stream_.skip_operator("*")) {
      ensure(!out.star && !out.double_star);
      out.star = expression();
    } else if (stream_.skip_operator("**")) {
      ensure(!out.double_star);
      out.double_star = expression();
    } else if (stream_.is(TokenKind::kName) && stream_.ahead().kind == TokenKind::kOperator &&
               stream_.ahead().text == "=") {
      ensure(!out.double_star);
      std::string name = stream_.take().text;
      stream_.take();
      for (const auto& [known, value] : out.keywords) {
        if (known == name) stream_.fail("keyword argument repeated: " + name);
      }
      out.keywords.emplace_back(std::move(name), expression());
    } else {
      ensure(!out.star && !out.double_star && out.keywords.empty());
      out.positional.push_back(expression());
    }
  }
  stream_.expect_operator(")");
  return out;
}

ExpressionPtr ExpressionParser::call(ExpressionPtr operand) {
  ExpressionPtr node = make(ExpressionKind::kCall, stream_.line());
  node->operands.push_back(std::move(operand));
  node->call = call_arguments();
  return node;
}

std::string ExpressionParser::dotted_name() {
  std::string name = stream_.expect_any_name();
  while (stream_.skip_operator(".")) name += "." + stream_.expect_any_name();
  return name;
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr operand, bool inline_start) {
  for (int links = 0; inline_start || stream_.is_operator("|"); inline_start = false) {
    check_chain(++links);
    if (!inline_start) stream_.take();
    ExpressionPtr node = make(ExpressionKind::kFilter, stream_.line());
    node->name = dotted_name();
    note(node->line, filter_problem(node->name));
    node->operands.push_back(std::move(operand));
    if (stream_.is_operator("(")) node->call = call_arguments();
    operand = std::move(node);
  }
  return operand;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr operand) {
  ExpressionPtr node = make(ExpressionKind::kTest, stream_.line());
  stream_.take();
  const bool negated = stream_.skip_name("not");
  node->name = dotted_name();
  note(node->line, test_problem(node->name));
  node->operands.push_back(std::move(operand));
  const bool argument_follows = stream_.is(TokenKind::kName) || stream_.is(TokenKind::kString) ||
                                stream_.is(TokenKind::kNumber) || stream_.is_operator("[") || stream_.is_operator("{");
  if (stream_.is_operator("(")) {
    node->call = call_arguments();
  } else if (argument_follows && !stream_.is_any_name({"else", "or", "and"})) {
    if (stream_.is_name("is")) stream_.fail("tests cannot be chained with 'is'");
    const NestingGuard guard(depth_, stream_);
    node->call.positional.push_back(postfix(primary()));
  }
  if (!negated) return node;
  ExpressionPtr negation = make(ExpressionKind::kNot, node->line);
  negation->operands.push_back(std::move(node));
  return negation;
}

}  // namespace cadre::chat
