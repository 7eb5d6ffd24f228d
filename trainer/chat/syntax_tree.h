// What a template says, parsed: immutable, shared by all renderings and threads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "trainer/chat/value.h"

namespace cadre::chat {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class ExpressionKind {
  kConstant,   // constant
  kName,       // name
  kList,       // operands
  kTuple,      // operands
  kDict,       // operands: key, value, key, value, …
  kAttribute,  // operands[0] . name
  kSubscript,  // operands[0] [ operands[1] ]
  kSlice,      // operands: start, stop, step, each may be null; only as the index of a kSubscript
  kCall,       // operands[0] called with call
  kFilter,     // operands[0] | name with call; operands[0] null in a filter or set block
  kTest,       // operands[0] is name with call
  kNot,        // operands[0]
  kNegative,   // operands[0]
  kPositive,   // operands[0]
  kAnd,
  kOr,           // operands, two or more
  kConcatenate,  // operands, two or more
  kArithmetic,   // operands[0] operators[0] operands[1] operators[1] …, from the left
  kCompare,      // the same, as Python chains comparisons
  kConditional,  // operands: condition, value, otherwise (null: undefined)
};

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> keywords;
  ExpressionPtr star, double_star;  // *x, **x
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kConstant;
  int line = 0;
  std::string name;
  Value constant;
  std::vector<ExpressionPtr> operands;
  std::vector<std::string> operators;
  CallArguments call;
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

// What a for, set or with assigns to: a name, a namespace's attribute, or several targets.
struct Target {
  std::string name, attribute;  // attribute empty: the name itself
  std::vector<Target> items;    // where not empty (or is_tuple), the value is unpacked
  bool is_tuple = false;
};

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  // may be null
};

struct MacroDefinition {
  std::string name;  // "caller" for the body of a call block
  int line = 0;
  std::vector<Parameter> parameters;
  Body body;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;  // mentioned in the body
};

enum class StatementKind {
  kText,        // text
  kPrint,       // value
  kIf,          // value, body, otherwise (an elif is an if there)
  kFor,         // targets[0], value, filter, recursive, body, otherwise
  kSet,         // targets[0], value
  kSetBlock,    // targets[0], body, filter (a chain of filters, may be null)
  kWith,        // targets, values, body
  kMacro,       // macro
  kCall,        // value (a kCall), macro
  kFilter,      // filter, body
  kScope,       // body: block and autoescape, which open a scope and do no more here
  kGeneration,  // body
  kBreak,
  kContinue,
};

struct Statement {
  StatementKind kind = StatementKind::kText;
  int line = 0;
  Value text;
  ExpressionPtr value, filter;
  std::vector<Target> targets;
  std::vector<ExpressionPtr> values;
  Body body, otherwise;
  bool recursive = false;
  std::unique_ptr<MacroDefinition> macro;
};

}  // namespace cadre::chat
