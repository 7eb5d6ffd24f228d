// Rows of conversations: rendered once by the chat template, tokenized whole, labelled by what came from which message.
// Rendered text is tokenized without added special tokens, as transformers does: BOS is the template's to print.

#include <algorithm>
#include <boost/json/value.hpp>
#include <optional>
#include <utility>

#include "runtime/error.h"
#include "trainer/chat/chat_template.h"
#include "trainer/data/chat_labels.h"
#include "trainer/data/dataset.h"
#include "trainer/data/json_text.h"
#include "trainer/data/row_encoder.h"
#include "trainer/data/row_fields.h"

namespace cadre::data {
namespace {

TrainOnEos train_on_eos_of(const std::string& name) {
  if (name == "turn") return TrainOnEos::kTurn;
  if (name == "all") return TrainOnEos::kAll;
  if (name == "last") return TrainOnEos::kLast;
  if (name == "none") return TrainOnEos::kNone;
  throw runtime::UserError("train_on_eos: expected turn, all, last or none, found " + excerpt(name));
}

bool has_text(const boost::json::value& value) {
  if (const auto* text = value.if_string()) return text->find_first_not_of(" \t\r\n") != boost::json::string::npos;
  if (const auto* array = value.if_array()) return std::any_of(array->begin(), array->end(), has_text);
  if (const auto* object = value.if_object())
    return std::any_of(object->begin(), object->end(), [](const auto& member) { return has_text(member.value()); });
  return false;
}

// OpenAI's files hold a call's arguments as JSON text; templates expect the object.
void unfold_arguments(boost::json::object& message) {
  auto* calls = message.if_contains("tool_calls");
  if (!calls || !calls->is_array()) return;
  for (auto& call : calls->get_array()) {
    auto* object = call.if_object();
    auto* function = object ? object->if_contains("function") : nullptr;
    auto* holder = function ? function->if_object() : object;
    auto* arguments = holder ? holder->if_contains("arguments") : nullptr;
    if (!arguments || !arguments->is_string()) continue;
    const std::string text(arguments->get_string());
    const std::size_t begin = skip_space(text, 0);
    if (begin < text.size() && text[begin] == '{')
      *arguments = parse_json(text, {{}, 0, "the arguments of a tool call"});
  }
}

class ChatEncoder final : public RowEncoder {
 public:
  explicit ChatEncoder(const EncoderOptions& options)
      : tokenizer_(*options.tokenizer),
        template_(template_text(options), "chat_template"),
        messages_(name_or(options.dataset.field_messages, "messages")),
        role_(name_or(options.dataset.message_field_role, "role")),
        content_(name_or(options.dataset.message_field_content, "content")),
        tools_(name_or(options.dataset.field_tools, "tools")),
        train_on_inputs_(options.config.train_on_inputs),
        train_on_eos_(train_on_eos_of(options.config.train_on_eos)) {
    render_.bos_token = tokenizer_.bos_token().value_or("");
    render_.eos_token = tokenizer_.eos_token().value_or("");
    render_.pad_token = tokenizer_.pad_token().value_or("");
    render_.unk_token = tokenizer_.unk_token().value_or("");
    render_.date = options.date;
    find_turn_ends(options.config.eot_tokens);
  }

  EncodedRow encode(const boost::json::object& fields) const override {
    boost::json::array messages = required_array(fields, messages_);
    if (messages.empty())
      throw runtime::UserError("the field " + excerpt(messages_) + ": expected messages, found none");
    std::vector<ChatTurn> turns;
    for (std::size_t i = 0; i < messages.size(); ++i) turns.push_back(take_message(messages[i], i));

    const chat::Rendered rendered = template_.render(messages, optional_array(fields, tools_), render_);
    tokenizer::Encoding tokens = tokenizer_.encode_with_ranges(rendered.text, false);
    ChatLabels labels = label_chat(rendered, turns, tokens,
                                   {.train_on_eos = train_on_eos_,
                                    .train_on_inputs = train_on_inputs_,
                                    .is_turn_end = [this](tokenizer::TokenId id) {
                                      return std::binary_search(turn_ends_.begin(), turn_ends_.end(), id);
                                    }});
    return {std::move(tokens.ids), std::move(labels.labels),
            labels.turn_end_missing && train_on_eos_ != TrainOnEos::kNone};
  }

 private:
  void find_turn_ends(const std::vector<std::string>& named) {
    if (tokenizer_.eos_id()) turn_ends_.push_back(*tokenizer_.eos_id());
    for (const auto& token : named) {
      const auto id = tokenizer_.token_to_id(token);
      if (!id) throw runtime::UserError("eot_tokens: " + excerpt(token) + " is no token of the vocabulary");
      turn_ends_.push_back(*id);
    }
    std::sort(turn_ends_.begin(), turn_ends_.end());
  }

  // Brings a message into the form that templates know (role, content, the rest as it is), without `weight`.
  ChatTurn take_message(boost::json::value& value, std::size_t index) const {
    const std::string where = runtime::say("message ", index + 1, ": ");
    auto* found = value.if_object();
    if (!found) throw runtime::UserError(where + "expected an object");
    boost::json::object message;
    ChatTurn turn;
    std::optional<bool> weight;
    for (auto& member : *found) {
      const std::string_view key = member.key();
      if (key == "weight") {
        weight = weight_of(member.value(), where);
        continue;
      }
      const std::string_view name = key == role_ ? "role" : key == content_ ? "content" : key;
      if (message.contains(name))
        throw runtime::UserError(where + "has both " + excerpt(name) + " and the field that stands for it; keep one");
      if (name != "role") turn.has_text = turn.has_text || has_text(member.value());
      message.emplace(name, std::move(member.value()));
    }
    auto* role = message.if_contains("role");
    if (!role || !role->is_string())
      throw runtime::UserError(where + "expected a string " + excerpt(role_) +
                               "; name another with message_field_role");
    // As ShareGPT's files call them.
    if (role->get_string() == "human") *role = "user";
    if (role->get_string() == "gpt") *role = "assistant";
    if (!message.contains("content") && !message.contains("tool_calls"))
      throw runtime::UserError(where + "expected " + excerpt(content_) + "; name another with message_field_content");
    unfold_arguments(message);
    turn.trained = weight.value_or(role->get_string() == "assistant");
    turn.excluded = weight.has_value() && !*weight;
    value = std::move(message);
    return turn;
  }

  static std::optional<bool> weight_of(const boost::json::value& value, const std::string& where) {
    if (value.is_null()) return std::nullopt;
    if (value.is_number()) {
      const double number = value.is_double()   ? value.get_double()
                            : value.is_uint64() ? static_cast<double>(value.get_uint64())
                                                : static_cast<double>(value.get_int64());
      if (number == 0 || number == 1) return number == 1;
    }
    throw runtime::UserError(where + "expected a weight of 0 or 1");
  }

  const tokenizer::Tokenizer& tokenizer_;
  chat::ChatTemplate template_;
  std::string messages_, role_, content_, tools_;
  bool train_on_inputs_;
  TrainOnEos train_on_eos_;
  chat::RenderOptions render_;
  std::vector<tokenizer::TokenId> turn_ends_;  // sorted
};

}  // namespace

std::unique_ptr<RowEncoder> make_chat_encoder(const EncoderOptions& options) {
  return std::make_unique<ChatEncoder>(options);
}

}  // namespace cadre::data
