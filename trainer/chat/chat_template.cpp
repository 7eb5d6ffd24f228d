#include "trainer/chat/chat_template.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>

#include "runtime/error.h"
#include "trainer/chat/characters.h"
#include "trainer/chat/date_format.h"
#include "trainer/chat/evaluator.h"
#include "trainer/chat/parser.h"
#include "trainer/chat/turns.h"

namespace cadre::chat {
namespace {

namespace json = boost::json;
using runtime::say;
using runtime::UserError;

Value string_value(std::string_view bytes, std::int32_t message) {
  if (!is_utf8(bytes)) throw Failure("a message holds text that is not UTF-8");
  return Value::string(Text(std::string(bytes), {.message = message}));
}

// `message`: whose part the value is, or -1.
Value from_json(const json::value& value, std::int32_t message, int depth = 0) {
  if (depth >= Budget::kMaxDepth) throw Failure(say("a message nested more than ", Budget::kMaxDepth, " deep"));
  switch (value.kind()) {
    case json::kind::null:
      return Value::none().from_message(message);
    case json::kind::bool_:
      return Value::boolean(value.get_bool()).from_message(message);
    case json::kind::int64:
      return Value::integer(value.get_int64()).from_message(message);
    case json::kind::uint64:
      return Value::integer(value.get_uint64()).from_message(message);
    case json::kind::double_:
      return Value::floating(value.get_double()).from_message(message);
    case json::kind::string:
      return string_value(value.get_string(), message);
    case json::kind::array: {
      std::vector<Value> items;
      items.reserve(value.get_array().size());
      for (const json::value& item : value.get_array()) items.push_back(from_json(item, message, depth + 1));
      return Value::list(std::move(items), message);
    }
    case json::kind::object: {
      const auto dict = make_dict();
      for (const auto& [key, held] : value.get_object()) {
        dict->set(string_value(key, message), from_json(held, message, depth + 1));
      }
      dict->origin = message;
      return {Kind::kDict, dict};
    }
  }
  return {};
}

struct Conversation {
  Value messages;
  std::vector<std::string> roles;
};

Conversation read_messages(const json::value& messages, const std::string& where) {
  if (!messages.is_array()) throw UserError(say(where, ": expected messages to be an array of objects"));
  Conversation out;
  std::vector<Value> items;
  for (std::size_t i = 0; i < messages.get_array().size(); ++i) {
    const json::value& message = messages.get_array()[i];
    if (!message.is_object()) throw UserError(say(where, ": expected message ", i, " to be an object"));
    const auto index = static_cast<std::int32_t>(i);
    const auto dict = make_dict();
    std::string role;
    for (const auto& [key, value] : message.get_object()) {
      const bool is_role = key == "role";
      if (is_role && value.is_string()) role = value.get_string();
      dict->set(string_value(key, -1), from_json(value, is_role ? -1 : index));
    }
    dict->message = index;
    items.push_back({Kind::kDict, dict});
    out.roles.push_back(role);
  }
  out.messages = Value::list(std::move(items));
  return out;
}

}  // namespace

struct ChatTemplate::State {
  std::string where;
  ParsedTemplate parsed;

  struct Output {
    Text text;
    std::vector<std::int32_t> turns;
  };

  Output render(const Value& messages, const Value& tools, const RenderOptions& options, bool generation_prompt) const {
    Evaluator evaluator(options.date);
    for (const auto& [name, value] : options.variables) evaluator.set_variable(name, from_json(value, -1));
    const std::pair<std::string_view, const std::string&> tokens[] = {{"bos_token", options.bos_token},
                                                                      {"eos_token", options.eos_token},
                                                                      {"pad_token", options.pad_token},
                                                                      {"unk_token", options.unk_token}};
    for (const auto& [name, token] : tokens) {
      if (!token.empty()) evaluator.set_variable(name, string_value(token, -1));
    }
    evaluator.set_variable("messages", messages);
    evaluator.set_variable("tools", tools);
    evaluator.set_variable("documents", Value::none());
    evaluator.set_variable("add_generation_prompt", Value::boolean(generation_prompt));
    try {
      Text text = evaluator.run(parsed.body);
      return {std::move(text), evaluator.turns()};
    } catch (const Failure& failure) {
      throw UserError(say(where, ":", evaluator.line(), ": ", failure.what()));
    }
  }

  // What add_generation_prompt appends; nullopt where it changes more than the end or cannot be rendered.
  std::optional<std::string> difference(const Value& messages, const Value& tools, const RenderOptions& options,
                                        const std::string* without) const {
    try {
      const std::string with = render(messages, tools, options, true).text.bytes();
      const std::string base = without != nullptr ? *without : render(messages, tools, options, false).text.bytes();
      if (!with.starts_with(base)) return std::nullopt;
      return with.substr(base.size());
    } catch (const UserError&) {
      return std::nullopt;
    }
  }

  std::optional<std::string> generation_prompt(const Conversation& conversation, const Value& tools,
                                               const RenderOptions& options, const std::string& text) const {
    const bool given = options.add_generation_prompt;
    std::optional<std::string> prompt = difference(conversation.messages, tools, options, given ? nullptr : &text);
    if (prompt && !prompt->empty()) return prompt;
    // Some templates add it only where the last message is not the assistant's.
    std::size_t last = conversation.roles.size();
    while (last > 0 && conversation.roles[last - 1] != "assistant") --last;
    if (last <= 1) return prompt;
    const std::vector<Value>& all = conversation.messages.items();
    const auto before = Value::list({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(last - 1)});
    const std::optional<std::string> shorter = difference(before, tools, options, nullptr);
    return shorter ? shorter : prompt;
  }
};

ChatTemplate::ChatTemplate(std::string_view source, const std::string& where) {
  auto state = std::make_unique<State>();
  state->where = where;
  try {
    state->parsed = parse(source);
  } catch (const SyntaxFailure& failure) {
    throw UserError(say(where, ":", failure.line, ": ", failure.what()));
  } catch (const Failure& failure) {
    throw UserError(say(where, ": ", failure.what()));
  }
  state_ = std::move(state);
}

ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Rendered ChatTemplate::render(const json::value& messages, const json::value& tools,
                              const RenderOptions& options) const {
  const Budget budget;
  const std::string& where = state_->where;
  if (!tools.is_null() && !tools.is_array()) throw UserError(say(where, ": expected tools to be an array or null"));
  try {
    const Conversation conversation = read_messages(messages, where);
    const Value tool_values = from_json(tools, -1);
    State::Output output = state_->render(conversation.messages, tool_values, options, options.add_generation_prompt);
    Rendered rendered;
    rendered.text = output.text.bytes();
    if (state_->parsed.has_generation_blocks) {
      rendered.from_generation_blocks = true;
      rendered.spans = generation_spans(output.text, output.turns);
      rendered.turns = generation_turns(output.text, rendered.spans, options.eos_token);
      return rendered;
    }
    rendered.spans = tracked_spans(output.text);
    TurnOptions turn_options{.roles = conversation.roles, .eos_token = options.eos_token, .generation_prompt = {}};
    if (std::find(conversation.roles.begin(), conversation.roles.end(), "assistant") != conversation.roles.end()) {
      turn_options.generation_prompt = state_->generation_prompt(conversation, tool_values, options, rendered.text);
    }
    rendered.turns = find_turns(output.text, output.turns, turn_options);
    return rendered;
  } catch (const Failure& failure) {
    throw UserError(say(where, ": ", failure.what()));
  }
}

}  // namespace cadre::chat
