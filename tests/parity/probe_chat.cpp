// Renders chat templates for the parity tests: one JSON object a line in, one out.
//   in:  {"template", "messages", "tools", "add_generation_prompt", "tokens": {"bos_token": …}, "date", "variables"}
//   out: {"text", "spans": [[begin, end, message], …], "turns": [[message, begin, content_end, marker, end], …],
//         "from_generation_blocks"} or {"error"}
#include <boost/json.hpp>
#include <iostream>
#include <string>

#include "runtime/error.h"
#include "trainer/chat/chat_template.h"
#include "trainer/chat/exact_json.h"

namespace {

namespace json = boost::json;

json::object answer(const json::object& query) {
  cadre::chat::RenderOptions options;
  const auto text = [](const json::object& from, const char* key) {
    const json::value* value = from.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
  };
  if (const json::value* tokens = query.if_contains("tokens")) {
    options.bos_token = text(tokens->as_object(), "bos_token");
    options.eos_token = text(tokens->as_object(), "eos_token");
    options.pad_token = text(tokens->as_object(), "pad_token");
    options.unk_token = text(tokens->as_object(), "unk_token");
  }
  options.date = text(query, "date");
  if (const json::value* variables = query.if_contains("variables")) options.variables = variables->as_object();
  if (const json::value* prompt = query.if_contains("add_generation_prompt")) {
    options.add_generation_prompt = prompt->as_bool();
  }
  const cadre::chat::ChatTemplate chat_template(text(query, "template"), "template");
  const json::value* tools = query.if_contains("tools");
  const auto rendered = chat_template.render(query.at("messages"), tools != nullptr ? *tools : json::value(), options);
  json::array spans, turns;
  for (const auto& span : rendered.spans) {
    spans.push_back(json::array{span.begin, span.end, static_cast<std::int64_t>(span.message)});
  }
  for (const auto& turn : rendered.turns) {
    turns.push_back(json::array{turn.message, turn.begin, turn.content_end, turn.marker, turn.end});
  }
  return {{"text", rendered.text},
          {"spans", std::move(spans)},
          {"turns", std::move(turns)},
          {"from_generation_blocks", rendered.from_generation_blocks}};
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    json::object out;
    try {
      json::value query;
      json::error_code error;
      json::parse_options options;
      options.max_depth = 1000;
      cadre::chat::parse_exactly(line, options, query, error);
      out = error ? json::object{{"error", "INTERNAL: " + error.message()}} : answer(query.as_object());
    } catch (const cadre::runtime::UserError& error) {
      out = {{"error", error.what()}};
    } catch (const std::exception& error) {
      out = {{"error", std::string("INTERNAL: ") + error.what()}};
    }
    std::cout << json::serialize(out) << std::endl;
  }
}
