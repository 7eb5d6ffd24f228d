// The files beside tokenizer.json: special tokens and chat templates.
#include <utility>

#include "trainer/tokenizer/json_object.h"
#include "trainer/tokenizer/pipeline.h"

namespace cadre::tokenizer {
namespace {

// A string, or {"content": string}; nullopt for null.
std::optional<std::string> token_text(const JsonPlace& token) {
  if (token.is_null()) return std::nullopt;
  return std::string(token.value().is_object() ? token.member("content").as_string() : token.as_string());
}

std::optional<std::string> template_text(const JsonPlace& chat_template) {
  if (chat_template.is_null()) return std::nullopt;
  if (!chat_template.value().is_array()) return std::string(chat_template.as_string());
  for (std::size_t i = 0; i < chat_template.array_size(); ++i) {
    const JsonPlace each = chat_template.element(i);
    if (each.member("name").as_string() == "default") return std::string(each.member("template").as_string());
  }
  return std::nullopt;
}

}  // namespace

void read_tokenizer_config(std::string_view json, const std::string& where, TokenizerConfig& config) {
  const boost::json::value parsed = parse_tokenizer_json(json, where, {});
  const JsonPlace root(parsed, "", where);
  root.expect_object();
  const std::pair<std::string_view, std::optional<std::string>*> tokens[] = {{"bos_token", &config.bos_token},
                                                                             {"eos_token", &config.eos_token},
                                                                             {"pad_token", &config.pad_token},
                                                                             {"unk_token", &config.unk_token}};
  for (const auto& [name, text] : tokens)
    if (!*text) *text = token_text(root.member(name));
  if (!config.chat_template) config.chat_template = template_text(root.member("chat_template"));
  if (!config.tokenizer_class && root.has("tokenizer_class"))
    config.tokenizer_class = std::string(root.member("tokenizer_class").as_string());
}

}  // namespace cadre::tokenizer
