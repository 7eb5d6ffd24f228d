#include "trainer/chat/tests.h"

#include <map>

#include "runtime/error.h"
#include "trainer/chat/arguments.h"
#include "trainer/chat/filters.h"
#include "trainer/chat/functions.h"
#include "trainer/chat/operators.h"
#include "trainer/chat/value_text.h"

namespace cadre::chat {
namespace {

using runtime::say;

enum class Test {
  kOdd,
  kEven,
  kDivisibleBy,
  kDefined,
  kUndefined,
  kFilter,
  kTest,
  kNone,
  kBoolean,
  kFalse,
  kTrue,
  kInteger,
  kFloat,
  kLower,
  kUpper,
  kString,
  kMapping,
  kNumber,
  kSequence,
  kIterable,
  kCallable,
  kSameAs,
  kEscaped,
  kIn,
  kEqual,
  kNotEqual,
  kGreater,
  kGreaterEqual,
  kLess,
  kLessEqual
};

const std::map<std::string_view, Test>& tests() {
  static const std::map<std::string_view, Test> kTests = {{"odd", Test::kOdd},
                                                          {"even", Test::kEven},
                                                          {"divisibleby", Test::kDivisibleBy},
                                                          {"defined", Test::kDefined},
                                                          {"undefined", Test::kUndefined},
                                                          {"filter", Test::kFilter},
                                                          {"test", Test::kTest},
                                                          {"none", Test::kNone},
                                                          {"boolean", Test::kBoolean},
                                                          {"false", Test::kFalse},
                                                          {"true", Test::kTrue},
                                                          {"integer", Test::kInteger},
                                                          {"float", Test::kFloat},
                                                          {"lower", Test::kLower},
                                                          {"upper", Test::kUpper},
                                                          {"string", Test::kString},
                                                          {"mapping", Test::kMapping},
                                                          {"number", Test::kNumber},
                                                          {"sequence", Test::kSequence},
                                                          {"iterable", Test::kIterable},
                                                          {"callable", Test::kCallable},
                                                          {"sameas", Test::kSameAs},
                                                          {"escaped", Test::kEscaped},
                                                          {"in", Test::kIn},
                                                          {"==", Test::kEqual},
                                                          {"eq", Test::kEqual},
                                                          {"equalto", Test::kEqual},
                                                          {"!=", Test::kNotEqual},
                                                          {"ne", Test::kNotEqual},
                                                          {">", Test::kGreater},
                                                          {"gt", Test::kGreater},
                                                          {"greaterthan", Test::kGreater},
                                                          {"ge", Test::kGreaterEqual},
                                                          {">=", Test::kGreaterEqual},
                                                          {"<", Test::kLess},
                                                          {"lt", Test::kLess},
                                                          {"lessthan", Test::kLess},
                                                          {"<=", Test::kLessEqual},
                                                          {"le", Test::kLessEqual}};
  return kTests;
}

bool is_callable(const Value& value) {
  switch (value.kind()) {
    case Kind::kMethod:
    case Kind::kFunction:
    case Kind::kMacro:
    case Kind::kJoiner:
    case Kind::kUndefined:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

bool is_same(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  if (a.is_none() || a.is_undefined()) return true;
  if (a.is(Kind::kBoolean)) return a.as_boolean() == b.as_boolean();
  if (a.object() != nullptr && a.object() == b.object()) return true;
  if (a.is_number() || a.is_string()) throw Failure("the test 'sameas' between numbers or strings is not implemented");
  return a.object() == b.object();
}

Value remainder(const Value& value, const Value& divisor) {
  return arithmetic("%", value, divisor);
}

bool has_case(Evaluator& evaluator, const Value& value, const char* method) {
  MethodObject call;
  call.self = Value::string(to_text(value));
  call.name = method;
  return truth(call_string_method(evaluator, call, {}));
}

}  // namespace

std::string test_problem(std::string_view name) {
  return tests().contains(name) ? std::string() : say("there is no test named '", name, "'");
}

bool apply_test(Evaluator& evaluator, std::string_view name, const Value& operand, const Arguments& arguments) {
  const auto found = tests().find(name);
  if (found == tests().end()) throw Failure(test_problem(name));
  const std::string what = say("the test '", name, "'");
  const auto other = [&] { return Bound(what, arguments, {"other"}, 1).value(0); };
  switch (found->second) {
    case Test::kDivisibleBy:
      return equal(remainder(operand, other()), Value::integer(0));
    case Test::kSameAs:
      return is_same(operand, other());
    case Test::kIn:
      return compare("in", operand, other());
    case Test::kEqual:
      return compare("==", operand, other());
    case Test::kNotEqual:
      return compare("!=", operand, other());
    case Test::kGreater:
      return compare(">", operand, other());
    case Test::kGreaterEqual:
      return compare(">=", operand, other());
    case Test::kLess:
      return compare("<", operand, other());
    case Test::kLessEqual:
      return compare("<=", operand, other());
    default:
      break;
  }
  Bound(what, arguments, {});
  switch (found->second) {
    case Test::kOdd:
      return equal(remainder(operand, Value::integer(2)), Value::integer(1));
    case Test::kEven:
      return equal(remainder(operand, Value::integer(2)), Value::integer(0));
    case Test::kDefined:
      return !operand.is_undefined();
    case Test::kUndefined:
      return operand.is_undefined();
    case Test::kFilter:
      return operand.is_string() && filter_problem(operand.as_bytes()).empty();
    case Test::kTest:
      return operand.is_string() && test_problem(operand.as_bytes()).empty();
    case Test::kNone:
      return operand.is_none();
    case Test::kBoolean:
      return operand.is(Kind::kBoolean);
    case Test::kFalse:
      return operand.is(Kind::kBoolean) && !operand.as_boolean();
    case Test::kTrue:
      return operand.is(Kind::kBoolean) && operand.as_boolean();
    case Test::kInteger:
      return operand.is(Kind::kInteger);
    case Test::kFloat:
      return operand.is(Kind::kFloat);
    case Test::kLower:
      return has_case(evaluator, operand, "islower");
    case Test::kUpper:
      return has_case(evaluator, operand, "isupper");
    case Test::kString:
      return operand.is_string();
    case Test::kMapping:
      return operand.is(Kind::kDict);
    case Test::kNumber:
      return operand.is_number();
    case Test::kSequence:
      return operand.is_string() || operand.is(Kind::kList) || operand.is(Kind::kTuple) || operand.is(Kind::kDict) ||
             operand.is(Kind::kRange) || operand.is_undefined();
    case Test::kIterable:
      return is_iterable(operand);
    case Test::kCallable:
      return is_callable(operand);
    case Test::kEscaped:
      return operand.is_string() && operand.as<StringObject>().escaped;
    default:
      return false;
  }
}

}  // namespace cadre::chat
