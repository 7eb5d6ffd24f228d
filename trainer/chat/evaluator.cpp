#include "trainer/chat/evaluator.h"

#include <utility>

#include "runtime/error.h"
#include "trainer/chat/evaluator_guards.h"
#include "trainer/chat/functions.h"
#include "trainer/chat/value_text.h"

namespace cadre::chat {

using runtime::say;

Value* Scope::find(std::string_view name) {
  for (auto& [known, value] : variables) {
    if (known == name) return &value;
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  if (Value* known = find(name))
    *known = std::move(value);
  else
    variables.emplace_back(name, std::move(value));
}

Evaluator::~Evaluator() {
  // Scopes and namespaces can hold each other in cycles.
  for (const auto& kept : kept_scopes_) kept->variables.clear();
  root_.variables.clear();
  for (const auto& kept : namespaces_) kept->attributes = std::make_shared<DictObject>();
}

std::shared_ptr<NamespaceObject> Evaluator::make_namespace() {
  Budget::allocate(256);
  namespaces_.push_back(std::make_shared<NamespaceObject>());
  return namespaces_.back();
}

Text Evaluator::run(const Body& body) {
  Text out;
  out_ = &out;
  execute(body);
  return out;
}

void Evaluator::emit(const Text& text) {
  if (text.empty()) return;
  Budget::allocate(text.size());
  if (out_->size() + text.size() > Budget::kMaxText) Budget::allocate(Budget::kMaxText + 1);
  if (!text.tracked()) {
    out_->append(text.view(), {.turn = turn_, .generation = generation_});
    return;
  }
  Text marked = text;
  marked.mark(turn_, generation_);
  out_->append(marked);
}

Value Evaluator::capture(const Body& body) {
  Text captured;
  Text* outer = std::exchange(out_, &captured);
  struct Restore {
    Text*& out;
    Text* outer;
    ~Restore() { out = outer; }
  } restore{out_, outer};
  execute(body);
  return Value::string(std::move(captured));
}

Evaluator::Flow Evaluator::execute(const Body& body) {
  for (const auto& statement : body) {
    if (const Flow flow = execute(*statement); flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::execute(const Statement& statement) {
  const DepthGuard guard(*this);
  Budget::work(20);
  line_ = statement.line;
  switch (statement.kind) {
    case StatementKind::kText:
      emit(statement.text.as_text());
      break;
    case StatementKind::kPrint: {
      const Value value = evaluate(*statement.value);
      if (value.is_string())
        emit(value.as_text());
      else
        emit(to_text(value));
      break;
    }
    case StatementKind::kIf:
      return execute(truth(evaluate(*statement.value)) ? statement.body : statement.otherwise);
    case StatementKind::kFor:
      return execute_for(statement);
    case StatementKind::kSet:
      assign(statement.targets[0], evaluate(*statement.value));
      break;
    case StatementKind::kSetBlock: {
      Value value;
      {
        const ScopeFrame frame(*this, scope_);
        value = capture(statement.body);
        if (statement.filter) value = evaluate_filter(*statement.filter, &value);
      }
      assign(statement.targets[0], value);
      break;
    }
    case StatementKind::kWith:
      execute_with(statement);
      break;
    case StatementKind::kMacro:
      scope_->set(statement.macro->name, define_macro(*statement.macro));
      break;
    case StatementKind::kCall: {
      const Expression& call_expression = *statement.value;
      const Value callee = evaluate(*call_expression.operands[0]);
      Arguments arguments = evaluate_arguments(call_expression.call);
      arguments.keywords.push_back({.name = "caller", .value = define_macro(*statement.macro)});
      line_ = statement.line;
      emit(to_text(call(callee, std::move(arguments))));
      break;
    }
    case StatementKind::kFilter: {
      const ScopeFrame frame(*this, scope_);
      const Value value = capture(statement.body);
      emit(to_text(evaluate_filter(*statement.filter, &value)));
      break;
    }
    case StatementKind::kScope: {
      const ScopeFrame frame(*this, scope_);
      return execute(statement.body);
    }
    case StatementKind::kGeneration:
      execute_generation(statement);
      break;
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

void Evaluator::execute_generation(const Statement& statement) {
  const ScopeFrame frame(*this, scope_);
  const std::int32_t outer = std::exchange(generation_, generations_++);
  struct Restore {
    std::int32_t& generation;
    std::int32_t outer;
    ~Restore() { generation = outer; }
  } restore{generation_, outer};
  execute(statement.body);
}

void Evaluator::execute_with(const Statement& statement) {
  const std::vector<Value> values = evaluate_all(statement.values);
  const ScopeFrame frame(*this, scope_);
  for (std::size_t i = 0; i < values.size(); ++i) assign(statement.targets[i], values[i]);
  execute(statement.body);
}

void Evaluator::open_turn(const Value& item) {
  const auto message_of = [](const Value& value) {
    return value.is(Kind::kDict) ? value.as<DictObject>().message : -1;
  };
  std::int32_t message = message_of(item);
  if (item.is(Kind::kTuple)) {
    for (const Value& part : item.items()) message = message >= 0 ? message : message_of(part);
  }
  if (message < 0 && turn_ >= 0) return;
  Budget::allocate(sizeof(std::int32_t));
  turns_.push_back(message);
  turn_ = static_cast<std::int32_t>(turns_.size() - 1);
}

Evaluator::Flow Evaluator::execute_for(const Statement& statement) {
  Flow flow = Flow::kNext;
  run_loop(statement, evaluate(*statement.value), 0, flow);
  return flow;
}

void Evaluator::run_loop(const Statement& statement, const Value& iterable, int depth0, Flow& flow) {
  const auto loop = std::make_shared<LoopObject>();
  const Value loop_value(Kind::kLoop, loop);
  loop->source = iterate(iterable);
  for (const Value& item : loop->source) deepen(*loop, item);
  loop->depth0 = depth0;
  Scope* outer = scope_;
  if (statement.filter) {
    loop->accept = [this, &statement, outer](const Value& item) {
      const ScopeFrame frame(*this, outer);
      assign(statement.targets[0], item);
      return truth(evaluate(*statement.filter));
    };
  }
  if (statement.recursive) {
    loop->recurse = [this, &statement, outer, depth0](const Value& inner) {
      const DepthGuard guard(*this);
      Text captured;
      struct Restore {
        Evaluator& evaluator;
        Text* out;
        Scope* scope;
        ~Restore() {
          evaluator.out_ = out;
          evaluator.scope_ = scope;
        }
      } restore{*this, std::exchange(out_, &captured), std::exchange(scope_, outer)};
      Flow ignored = Flow::kNext;
      run_loop(statement, inner, depth0 + 1, ignored);
      return Value::string(std::move(captured));
    };
  }
  struct Finish {
    Evaluator& evaluator;
    LoopObject& loop;
    std::int32_t turn;
    ~Finish() {
      loop.finish();
      evaluator.turn_ = turn;
    }
  } finish{*this, *loop, turn_};

  bool completed_one = false;
  while (loop->advance()) {
    Budget::work(20);
    turn_ = finish.turn;
    open_turn(loop->current);
    const ScopeFrame frame(*this, scope_);
    assign(statement.targets[0], loop->current);
    scope_->set("loop", loop_value);
    const Flow body = execute(statement.body);
    if (body == Flow::kBreak) break;
    // As in Jinja, an iteration that a break or continue cuts short does not keep the else from running.
    if (body == Flow::kNext) completed_one = true;
  }
  turn_ = finish.turn;
  if (!completed_one && !statement.otherwise.empty()) {
    const ScopeFrame frame(*this, scope_);
    flow = execute(statement.otherwise);
  }
}

void Evaluator::assign(const Target& target, const Value& value) {
  if (target.is_tuple) {
    if (!is_iterable(value)) throw Failure(say("cannot unpack non-iterable ", type_name(value), " object"));
    const std::vector<Value> items = iterate(value);
    if (items.size() != target.items.size()) {
      throw Failure(say(items.size() > target.items.size() ? "too many" : "not enough", " values to unpack (expected ",
                        target.items.size(), ", found ", items.size(), ")"));
    }
    for (std::size_t i = 0; i < items.size(); ++i) assign(target.items[i], items[i]);
    return;
  }
  if (target.attribute.empty()) {
    scope_->set(target.name, value);
    return;
  }
  for (Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    const Value* found = scope->find(target.name);
    if (found == nullptr) continue;
    if (!found->is(Kind::kNamespace)) break;
    found->as<NamespaceObject>().attributes->set(Value::string(target.attribute), value);
    return;
  }
  throw Failure(say("cannot assign attribute '", target.attribute, "' on '", target.name, "': it is no namespace"));
}

Value Evaluator::define_macro(const MacroDefinition& definition) {
  Budget::allocate(256);
  for (Scope* scope = scope_; scope != nullptr && !scope->captured; scope = scope->parent) scope->captured = true;
  auto macro = std::make_shared<MacroObject>();
  macro->definition = &definition;
  macro->closure = scope_;
  return {Kind::kMacro, std::move(macro)};
}

Value Evaluator::call_macro(const MacroObject& macro, Arguments arguments) {
  const DepthGuard guard(*this);
  const MacroDefinition& definition = *macro.definition;
  const std::size_t expected = definition.parameters.size();
  std::vector<Value>& given = arguments.positional;
  const ScopeFrame frame(*this, macro.closure);
  std::vector<Value> extra;
  if (given.size() > expected) {
    if (!definition.uses_varargs) {
      throw Failure(say("macro '", definition.name, "' takes not more than ", expected, " argument(s)"));
    }
    extra.assign(given.begin() + static_cast<std::ptrdiff_t>(expected), given.end());
  }
  const auto take_keyword = [&arguments](std::string_view name) -> std::optional<Value> {
    for (auto it = arguments.keywords.begin(); it != arguments.keywords.end(); ++it) {
      if (it->name != name) continue;
      Value value = std::move(it->value);
      arguments.keywords.erase(it);
      return value;
    }
    return std::nullopt;
  };
  bool explicit_caller = false;
  for (std::size_t i = 0; i < expected; ++i) {
    const Parameter& parameter = definition.parameters[i];
    explicit_caller = explicit_caller || parameter.name == "caller";
    if (i < given.size())
      scope_->set(parameter.name, given[i]);
    else if (std::optional<Value> value = take_keyword(parameter.name))
      scope_->set(parameter.name, std::move(*value));
    else if (parameter.fallback)
      scope_->set(parameter.name, evaluate(*parameter.fallback));
    else
      scope_->set(parameter.name, Value::undefined(say("parameter '", parameter.name, "' was not provided")));
  }
  if (definition.uses_caller && !explicit_caller) {
    std::optional<Value> caller = take_keyword("caller");
    scope_->set("caller", caller && !caller->is_none() ? std::move(*caller) : Value::undefined("No caller defined"));
  }
  if (definition.uses_kwargs) {
    const auto keywords = make_dict();
    for (Keyword& keyword : arguments.keywords) keywords->set(Value::string(keyword.name), std::move(keyword.value));
    scope_->set("kwargs", {Kind::kDict, keywords});
  } else if (!arguments.keywords.empty()) {
    throw Failure(say("macro '", definition.name, "' takes no keyword argument '", arguments.keywords[0].name, "'"));
  }
  if (definition.uses_varargs) scope_->set("varargs", Value::tuple(std::move(extra)));
  return capture(definition.body);
}

Value Evaluator::call(const Value& callee, Arguments arguments) {
  switch (callee.kind()) {
    case Kind::kUndefined:
      fail_undefined(callee);
    case Kind::kMacro:
      return call_macro(callee.as<MacroObject>(), std::move(arguments));
    case Kind::kMethod:
    case Kind::kFunction:
      return call_function(*this, callee.as<MethodObject>(), arguments);
    case Kind::kLoop: {
      auto& loop = callee.as<LoopObject>();
      if (!loop.recurse) throw Failure("the loop must have the 'recursive' marker to be called recursively");
      if (arguments.positional.size() != 1 || !arguments.keywords.empty()) throw Failure("loop() takes one argument");
      const auto recurse = loop.recurse;  // the loop may end meanwhile
      return recurse(arguments.positional[0]);
    }
    case Kind::kJoiner: {
      auto& joiner = callee.as<JoinerObject>();
      return std::exchange(joiner.used, true) ? joiner.separator : Value::string("");
    }
    default:
      throw Failure(say("'", type_name(callee), "' object is not callable"));
  }
}

}  // namespace cadre::chat
