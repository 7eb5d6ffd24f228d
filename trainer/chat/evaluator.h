// Runs a parsed template. One evaluator a rendering; the syntax tree is shared and never changed.
//
// Variables live in scopes: a loop's iteration, a macro's call, a with, filter or set block open one; an if does not.
// A macro sees the variables of where it was defined as they are when it runs.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trainer/chat/loop.h"
#include "trainer/chat/syntax_tree.h"
#include "trainer/chat/value.h"

namespace cadre::chat {

struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<std::string_view, Value>> variables;  // names belong to the syntax tree or are literals
  bool captured = false;  // a macro was defined in it or below it: it lives until the rendering ends

  Value* find(std::string_view name);
  void set(std::string_view name, Value value);
};

struct MacroObject : Object {
  const MacroDefinition* definition = nullptr;
  Scope* closure = nullptr;
};

class Evaluator {
 public:
  // `date`: what strftime_now tells, YYYY-MM-DD; may be empty, then its use is a Failure.
  explicit Evaluator(std::string date) : date_(std::move(date)) {}
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  void set_variable(std::string_view name, Value value) { root_.set(name, std::move(value)); }
  // The output; each byte's Origin::turn is an index into turns().
  Text run(const Body& body);

  // The loop iterations that wrote output: the message that was the loop's item, or -1. An iteration over something
  // else opens a turn only outside of any other.
  const std::vector<std::int32_t>& turns() const { return turns_; }
  int line() const { return line_; }  // of what is being evaluated, for messages
  const std::string& date() const { return date_; }

  // Jinja's foo.bar, foo[bar] and foo(bar), with the sandbox's rules; undefined where there is none.
  Value attribute(const Value& object, std::string_view name);
  Value item(const Value& object, const Value& key);
  Value call(const Value& callee, Arguments arguments);
  std::shared_ptr<NamespaceObject> make_namespace();

 private:
  enum class Flow { kNext, kBreak, kContinue };
  class ScopeFrame;
  class DepthGuard;

  Flow execute(const Body& body);
  Flow execute(const Statement& statement);
  Flow execute_for(const Statement& statement);
  void run_loop(const Statement& statement, const Value& iterable, int depth0, Flow& flow);
  void execute_with(const Statement& statement);
  void execute_generation(const Statement& statement);
  Value capture(const Body& body);
  void assign(const Target& target, const Value& value);
  Value define_macro(const MacroDefinition& definition);
  Value call_macro(const MacroObject& macro, Arguments arguments);
  void emit(const Text& text);
  void open_turn(const Value& item);

  Value evaluate(const Expression& expression);
  Value evaluate_name(const Expression& expression);
  Value evaluate_subscript(const Expression& expression);
  Value evaluate_compare(const Expression& expression);
  Value evaluate_dict(const Expression& expression);
  Value evaluate_filter(const Expression& expression, const Value* operand);
  Arguments evaluate_arguments(const CallArguments& call);
  std::vector<Value> evaluate_all(const std::vector<ExpressionPtr>& expressions);

  std::string date_;
  Scope root_;
  Scope* scope_ = &root_;
  std::vector<std::unique_ptr<Scope>> kept_scopes_;
  std::vector<std::shared_ptr<NamespaceObject>> namespaces_;  // emptied at the end, since they can hold themselves
  Text* out_ = nullptr;
  std::vector<std::int32_t> turns_;
  std::int32_t turn_ = -1, generation_ = -1, generations_ = 0;
  int depth_ = 0, line_ = 0;
};

}  // namespace cadre::chat
