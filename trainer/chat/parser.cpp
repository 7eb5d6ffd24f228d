#include "trainer/chat/parser.h"

#include <string>
#include <utility>

#include "runtime/error.h"
#include "trainer/chat/characters.h"
#include "trainer/chat/expression_parser.h"

namespace cadre::chat {
namespace {

using runtime::say;
using Ends = std::initializer_list<std::string_view>;
using StatementPtr = std::unique_ptr<Statement>;

class Parser {
 public:
  explicit Parser(std::string_view source) : stream_(tokenize(source)), expressions_(stream_) {}

  ParsedTemplate run() {
    ParsedTemplate out;
    out.body = statements({}, nullptr);
    if (!expressions_.problems.empty()) throw expressions_.problems.front();
    out.has_generation_blocks = has_generation_blocks_;
    return out;
  }

 private:
  StatementPtr make(StatementKind kind) const {
    auto node = std::make_unique<Statement>();
    node->kind = kind;
    node->line = stream_.line();
    return node;
  }

  // Text and tags up to one of the tags in `ends`, whose name is then the current token.
  Body statements(Ends ends, const char* opened_by) {
    const NestingGuard guard(depth_, stream_);
    Body body;
    for (;;) {
      switch (stream_.current().kind) {
        case TokenKind::kData: {
          StatementPtr node = make(StatementKind::kText);
          node->text = Value::string(stream_.take().text);
          body.push_back(std::move(node));
          break;
        }
        case TokenKind::kPrintBegin: {
          StatementPtr node = make(StatementKind::kPrint);
          stream_.take();
          node->value = expressions_.tuple();
          stream_.expect(TokenKind::kPrintEnd);
          body.push_back(std::move(node));
          break;
        }
        case TokenKind::kBlockBegin:
          stream_.take();
          if (stream_.is_any_name(ends)) return body;
          statement(body);
          stream_.expect(TokenKind::kBlockEnd);
          break;
        default:
          if (opened_by != nullptr) stream_.fail(say("the template ends inside {% ", opened_by, " %}"));
          return body;
      }
    }
  }

  // The body of a tag, from the tag's `%}` on.
  Body body_of(const char* tag, Ends ends) {
    stream_.skip_operator(":");
    stream_.expect(TokenKind::kBlockEnd);
    return statements(ends, tag);
  }

  Body closed_body(const char* tag, std::string_view end) {
    Body body = body_of(tag, {end});
    stream_.take();
    return body;
  }

  void statement(Body& body) {
    if (!stream_.is(TokenKind::kName)) stream_.fail_expected("the name of a tag");
    const std::string& tag = stream_.current().text;
    if (tag == "if")
      body.push_back(if_statement());
    else if (tag == "for")
      body.push_back(for_statement());
    else if (tag == "set")
      body.push_back(set_statement());
    else if (tag == "macro")
      body.push_back(macro_statement());
    else if (tag == "call")
      body.push_back(call_statement());
    else if (tag == "filter")
      body.push_back(filter_statement());
    else if (tag == "with")
      body.push_back(with_statement());
    else if (tag == "block")
      body.push_back(block_statement());
    else if (tag == "autoescape")
      body.push_back(autoescape_statement());
    else if (tag == "generation")
      body.push_back(generation_statement());
    else if (tag == "print")
      print_statement(body);
    else if (tag == "break" || tag == "continue")
      body.push_back(loop_control());
    else if (tag == "include" || tag == "import" || tag == "from" || tag == "extends" || tag == "do" ||
             tag == "trans") {
      stream_.fail(say("{% ", tag, " %} is not available in a chat template"));
    } else {
      stream_.fail(say("unknown or misplaced tag '", tag, "'"));
    }
  }

  StatementPtr if_statement() {
    StatementPtr node = make(StatementKind::kIf);
    stream_.take();
    ++expressions_.lenient;
    node->value = expressions_.tuple(false);
    node->body = body_of("if", {"elif", "else", "endif"});
    if (stream_.is_name("elif")) {
      // An elif chain nests in the tree; the same guard bounds it.
      const NestingGuard guard(depth_, stream_);
      node->otherwise.push_back(if_statement());
    } else if (stream_.take().text == "else") {
      node->otherwise = closed_body("else", "endif");
    }
    --expressions_.lenient;
    return node;
  }

  StatementPtr for_statement() {
    StatementPtr node = make(StatementKind::kFor);
    stream_.take();
    node->targets.push_back(target("in", false));
    stream_.expect_name("in");
    const int lenient = std::exchange(expressions_.lenient, 0);
    node->value = expressions_.tuple(false, "recursive");
    if (stream_.skip_name("if")) node->filter = expressions_.expression();
    node->recursive = stream_.skip_name("recursive");
    ++loops_;
    node->body = body_of("for", {"endfor", "else"});
    --loops_;
    if (stream_.take().text == "else") node->otherwise = closed_body("for … else", "endfor");
    expressions_.lenient = lenient;
    return node;
  }

  StatementPtr set_statement() {
    StatementPtr node = make(StatementKind::kSet);
    stream_.take();
    node->targets.push_back(target({}, true));
    if (stream_.skip_operator("=")) {
      node->value = expressions_.tuple();
      return node;
    }
    node->kind = StatementKind::kSetBlock;
    node->filter = expressions_.filters(nullptr, false);
    node->body = closed_body("set", "endset");
    return node;
  }

  Target target(std::string_view end, bool with_attributes) {
    Target first = single_target(with_attributes);
    if (!stream_.is_operator(",")) return first;
    Target several;
    several.is_tuple = true;
    several.items.push_back(std::move(first));
    while (stream_.skip_operator(",")) {
      const bool over =
          stream_.is_operator(")") || stream_.is(TokenKind::kBlockEnd) || (!end.empty() && stream_.is_name(end));
      if (over) break;
      several.items.push_back(single_target(with_attributes));
    }
    return several;
  }

  Target single_target(bool with_attributes) {
    const NestingGuard guard(depth_, stream_);
    if (stream_.skip_operator("(")) {
      Target inner;
      inner.is_tuple = true;
      if (!stream_.is_operator(")")) inner = target({}, false);
      stream_.expect_operator(")");
      return inner;
    }
    Target out;
    out.name = assignable_name();
    if (with_attributes && stream_.skip_operator(".")) out.attribute = stream_.expect_any_name();
    return out;
  }

  std::string assignable_name() {
    if (stream_.is_any_name({"true", "false", "none", "True", "False", "None"})) {
      stream_.fail(say("cannot assign to '", stream_.current().text, "'"));
    }
    return stream_.expect_any_name();
  }

  void signature(MacroDefinition& macro) {
    stream_.expect_operator("(");
    while (!stream_.is_operator(")")) {
      if (!macro.parameters.empty()) stream_.expect_operator(",");
      Parameter parameter;
      parameter.name = assignable_name();
      if (stream_.skip_operator("=")) {
        parameter.fallback = expressions_.expression();
      } else if (!macro.parameters.empty() && macro.parameters.back().fallback) {
        stream_.fail("non-default argument follows default argument");
      }
      macro.parameters.push_back(std::move(parameter));
    }
    stream_.take();
  }

  void macro_body(MacroDefinition& macro, const char* tag, std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    const int lenient = std::exchange(expressions_.lenient, 0);
    expressions_.open_macros.push_back(&macro);
    macro.body = closed_body(tag, end);
    expressions_.open_macros.pop_back();
    expressions_.lenient = lenient;
    loops_ = loops;
  }

  StatementPtr macro_statement() {
    StatementPtr node = make(StatementKind::kMacro);
    node->macro = std::make_unique<MacroDefinition>();
    node->macro->line = stream_.line();
    stream_.take();
    node->macro->name = assignable_name();
    signature(*node->macro);
    macro_body(*node->macro, "macro", "endmacro");
    return node;
  }

  StatementPtr call_statement() {
    StatementPtr node = make(StatementKind::kCall);
    node->macro = std::make_unique<MacroDefinition>();
    node->macro->name = "caller";
    node->macro->line = stream_.line();
    stream_.take();
    if (stream_.is_operator("(")) signature(*node->macro);
    node->value = expressions_.expression();
    if (node->value->kind != ExpressionKind::kCall) stream_.fail("{% call %} expects a call");
    macro_body(*node->macro, "call", "endcall");
    return node;
  }

  StatementPtr filter_statement() {
    StatementPtr node = make(StatementKind::kFilter);
    stream_.take();
    node->filter = expressions_.filters(nullptr, true);
    node->body = closed_body("filter", "endfilter");
    return node;
  }

  StatementPtr with_statement() {
    StatementPtr node = make(StatementKind::kWith);
    stream_.take();
    while (!stream_.is(TokenKind::kBlockEnd)) {
      if (!node->targets.empty()) stream_.expect_operator(",");
      node->targets.push_back(target({}, false));
      stream_.expect_operator("=");
      node->values.push_back(expressions_.expression());
    }
    node->body = closed_body("with", "endwith");
    return node;
  }

  StatementPtr block_statement() {
    StatementPtr node = make(StatementKind::kScope);
    stream_.take();
    const std::string name = stream_.expect_any_name();
    for (const std::string& known : blocks_) {
      if (known == name) stream_.fail(say("block '", name, "' defined twice"));
    }
    blocks_.push_back(name);
    if (stream_.is_any_name({"required"})) stream_.fail("{% block … required %} is not available in a chat template");
    if (loops_ > 0 || !expressions_.open_macros.empty()) {
      stream_.fail("{% block %} inside a loop or macro is not implemented");
    }
    stream_.skip_name("scoped");
    node->body = closed_body("block", "endblock");
    stream_.skip_name(name);
    return node;
  }

  StatementPtr autoescape_statement() {
    StatementPtr node = make(StatementKind::kScope);
    stream_.take();
    if (!stream_.skip_name("false")) stream_.fail("{% autoescape %} other than false is not implemented");
    node->body = closed_body("autoescape", "endautoescape");
    return node;
  }

  StatementPtr generation_statement() {
    StatementPtr node = make(StatementKind::kGeneration);
    stream_.take();
    has_generation_blocks_ = true;
    const int loops = std::exchange(loops_, 0);
    node->body = closed_body("generation", "endgeneration");
    loops_ = loops;
    return node;
  }

  void print_statement(Body& body) {
    stream_.take();
    for (bool first = true; !stream_.is(TokenKind::kBlockEnd); first = false) {
      if (!first) stream_.expect_operator(",");
      StatementPtr node = make(StatementKind::kPrint);
      node->value = expressions_.expression();
      body.push_back(std::move(node));
    }
  }

  StatementPtr loop_control() {
    StatementPtr node = make(stream_.is_name("break") ? StatementKind::kBreak : StatementKind::kContinue);
    if (loops_ == 0) stream_.fail(say("{% ", stream_.current().text, " %} outside of a loop"));
    stream_.take();
    return node;
  }

  TokenStream stream_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;  // open ones that break and continue can reach
  std::vector<std::string> blocks_;
  bool has_generation_blocks_ = false;
};

}  // namespace

ParsedTemplate parse(std::string_view source) {
  if (source.size() > (4U << 20)) throw SyntaxFailure(1, "a template of more than 4 MiB");
  if (!is_utf8(source)) throw SyntaxFailure(1, "the template is not UTF-8");
  return Parser(source).run();
}

}  // namespace cadre::chat
