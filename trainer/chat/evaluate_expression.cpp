// The evaluator's half that computes values.
#include <utility>

#include "runtime/error.h"
#include "trainer/chat/evaluator.h"
#include "trainer/chat/evaluator_guards.h"
#include "trainer/chat/filters.h"
#include "trainer/chat/functions.h"
#include "trainer/chat/operators.h"
#include "trainer/chat/tests.h"
#include "trainer/chat/value_text.h"

namespace cadre::chat {

using runtime::say;

std::vector<Value> Evaluator::evaluate_all(const std::vector<ExpressionPtr>& expressions) {
  std::vector<Value> values;
  values.reserve(expressions.size());
  for (const ExpressionPtr& expression : expressions) values.push_back(evaluate(*expression));
  return values;
}

Arguments Evaluator::evaluate_arguments(const CallArguments& call) {
  Arguments out;
  out.positional = evaluate_all(call.positional);
  for (const auto& [name, value] : call.keywords) out.keywords.push_back({.name = name, .value = evaluate(*value)});
  if (call.star) {
    for (Value& value : iterate(evaluate(*call.star))) out.positional.push_back(std::move(value));
  }
  if (call.double_star) {
    const Value extra = evaluate(*call.double_star);
    if (!extra.is(Kind::kDict)) throw Failure("argument after ** must be a mapping");
    for (const auto& [key, value] : extra.as<DictObject>().entries) {
      if (!key.is_string()) throw Failure("keywords must be strings");
      for (const Keyword& known : out.keywords) {
        if (known.name == key.as_bytes()) throw Failure(say("multiple values for keyword argument '", known.name, "'"));
      }
      out.keywords.push_back({.name = std::string(key.as_bytes()), .value = value});
    }
  }
  return out;
}

Value Evaluator::evaluate_name(const Expression& expression) {
  for (Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    if (const Value* found = scope->find(expression.name)) return *found;
  }
  if (is_global_function(expression.name)) {
    Budget::allocate(128);
    auto function = std::make_shared<MethodObject>();
    function->name = expression.name;
    return {Kind::kFunction, std::move(function)};
  }
  if (const std::string problem = global_problem(expression.name); !problem.empty()) throw Failure(problem);
  return Value::undefined(say("'", expression.name, "' is undefined"));
}

Value Evaluator::evaluate_subscript(const Expression& expression) {
  const Value object = evaluate(*expression.operands[0]);
  const Expression& index = *expression.operands[1];
  if (index.kind != ExpressionKind::kSlice) {
    const Value key = evaluate(index);
    line_ = expression.line;
    return item(object, key);
  }
  const auto part = [this](const ExpressionPtr& bound) { return bound ? evaluate(*bound) : Value::none(); };
  const Value start = part(index.operands[0]), stop = part(index.operands[1]), step = part(index.operands[2]);
  line_ = expression.line;
  return slice(object, {.start = start, .stop = stop, .step = step});
}

Value Evaluator::evaluate_compare(const Expression& expression) {
  Value left = evaluate(*expression.operands[0]);
  for (std::size_t i = 0; i < expression.operators.size(); ++i) {
    Value right = evaluate(*expression.operands[i + 1]);
    line_ = expression.line;
    if (!compare(expression.operators[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Evaluator::evaluate_dict(const Expression& expression) {
  const auto dict = make_dict();
  for (std::size_t i = 0; i < expression.operands.size(); i += 2) {
    const Value key = evaluate(*expression.operands[i]);
    dict->set(key, evaluate(*expression.operands[i + 1]));
  }
  return {Kind::kDict, dict};
}

Value Evaluator::evaluate_filter(const Expression& expression, const Value* operand) {
  const DepthGuard guard(*this);
  Value value;
  if (expression.operands[0] == nullptr) {
    value = *operand;
  } else if (operand != nullptr && expression.operands[0]->kind == ExpressionKind::kFilter) {
    value = evaluate_filter(*expression.operands[0], operand);
  } else {
    value = evaluate(*expression.operands[0]);
  }
  const Arguments arguments = evaluate_arguments(expression.call);
  line_ = expression.line;
  return apply_filter(*this, expression.name, value, arguments);
}

Value Evaluator::evaluate(const Expression& expression) {
  const DepthGuard guard(*this);
  Budget::work(10);
  line_ = expression.line;
  switch (expression.kind) {
    case ExpressionKind::kConstant:
      return expression.constant;
    case ExpressionKind::kName:
      return evaluate_name(expression);
    case ExpressionKind::kList:
      return Value::list(evaluate_all(expression.operands));
    case ExpressionKind::kTuple:
      return Value::tuple(evaluate_all(expression.operands));
    case ExpressionKind::kDict:
      return evaluate_dict(expression);
    case ExpressionKind::kAttribute: {
      const Value object = evaluate(*expression.operands[0]);
      line_ = expression.line;
      return attribute(object, expression.name);
    }
    case ExpressionKind::kSubscript:
      return evaluate_subscript(expression);
    case ExpressionKind::kSlice:
      throw Failure("a slice outside of a subscript");
    case ExpressionKind::kCall: {
      const Value callee = evaluate(*expression.operands[0]);
      Arguments arguments = evaluate_arguments(expression.call);
      line_ = expression.line;
      return call(callee, std::move(arguments));
    }
    case ExpressionKind::kFilter:
      return evaluate_filter(expression, nullptr);
    case ExpressionKind::kTest: {
      const Value operand = evaluate(*expression.operands[0]);
      const Arguments arguments = evaluate_arguments(expression.call);
      line_ = expression.line;
      return Value::boolean(apply_test(*this, expression.name, operand, arguments));
    }
    case ExpressionKind::kNot:
      return Value::boolean(!truth(evaluate(*expression.operands[0])));
    case ExpressionKind::kNegative:
      return negate(evaluate(*expression.operands[0]), true);
    case ExpressionKind::kPositive:
      return negate(evaluate(*expression.operands[0]), false);
    case ExpressionKind::kAnd:
    case ExpressionKind::kOr: {
      Value value;
      for (const ExpressionPtr& operand : expression.operands) {
        value = evaluate(*operand);
        if (truth(value) == (expression.kind == ExpressionKind::kOr)) break;
      }
      return value;
    }
    case ExpressionKind::kConcatenate: {
      Text out;
      for (const ExpressionPtr& operand : expression.operands) {
        const Text text = to_text(evaluate(*operand));
        Budget::allocate(out.size() + text.size());
        out.append(text);
      }
      return Value::string(std::move(out));
    }
    case ExpressionKind::kArithmetic: {
      Value value = evaluate(*expression.operands[0]);
      for (std::size_t i = 0; i < expression.operators.size(); ++i) {
        const Value right = evaluate(*expression.operands[i + 1]);
        line_ = expression.line;
        value = arithmetic(expression.operators[i], value, right);
      }
      return value;
    }
    case ExpressionKind::kCompare:
      return evaluate_compare(expression);
    case ExpressionKind::kConditional:
      if (truth(evaluate(*expression.operands[0]))) return evaluate(*expression.operands[1]);
      if (expression.operands[2]) return evaluate(*expression.operands[2]);
      return Value::undefined("the inline if-expression evaluated to false and no else section was defined");
  }
  return {};
}

}  // namespace cadre::chat
