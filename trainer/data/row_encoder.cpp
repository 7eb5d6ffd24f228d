#include "trainer/data/row_encoder.h"

#include "runtime/error.h"
#include "runtime/files.h"

namespace cadre::data {
namespace {

constexpr std::uint64_t kMaxTemplateBytes = 1 << 20;

}  // namespace

std::unique_ptr<RowEncoder> make_encoder(const EncoderOptions& options) {
  const std::string& type = options.dataset.type;
  if (type == "tokenized") return make_tokenized_encoder(options);
  if (!options.tokenizer &&
      (type == "alpaca" || type == "completion" || type == "input_output" || type == "chat_template"))
    throw runtime::UserError("datasets: type " + type + " needs a tokenizer, and " + options.config.base_model +
                             " has none; only rows of type tokenized do without");
  if (type == "alpaca") return make_alpaca_encoder(options);
  if (type == "completion") return make_completion_encoder(options);
  if (type == "input_output") return make_input_output_encoder(options);
  if (type == "chat_template") return make_chat_encoder(options);
  throw runtime::UserError(
      "datasets: expected type alpaca, completion, chat_template, input_output or tokenized, found " + excerpt(type));
}

std::string template_text(const EncoderOptions& options) {
  const std::string& choice = options.dataset.chat_template.value_or(options.config.chat_template);
  if (choice == "tokenizer_default" || choice.empty()) {
    if (const auto& own = options.tokenizer->chat_template()) return *own;
    throw runtime::UserError("chat_template: the tokenizer of " + options.config.base_model +
                             " has no chat template; set chat_template to a Jinja file or text");
  }
  if (choice.find("{{") != std::string::npos || choice.find("{%") != std::string::npos) return choice;
  return runtime::read_file(choice, kMaxTemplateBytes);
}

}  // namespace cadre::data
