#include <ATen/Parallel.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <iostream>
#include <sstream>

#include "launch/exit_code.h"
#include "launch/verbs.h"
#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/chat/chat_template.h"
#include "trainer/run/generate.h"
#include "trainer/run/tuned_model.h"

namespace cadre::launch {
namespace {

constexpr std::uint64_t kMaxPromptFileBytes = std::uint64_t{1} << 30;

struct Generator {
  const run::TunedModel& model;
  const tokenizer::Tokenizer& tokenizer;
  run::SamplingOptions sampling;
  std::optional<chat::ChatTemplate> chat_template;  // --chat

  std::vector<std::int64_t> ids_of(const std::string& prompt) const {
    std::vector<tokenizer::TokenId> ids;
    if (chat_template) {
      const boost::json::array messages{boost::json::object{{"role", "user"}, {"content", prompt}}};
      const chat::RenderOptions options{.add_generation_prompt = true,
                                        .bos_token = tokenizer.bos_token().value_or(""),
                                        .eos_token = tokenizer.eos_token().value_or(""),
                                        .pad_token = tokenizer.pad_token().value_or(""),
                                        .unk_token = tokenizer.unk_token().value_or(""),
                                        .date = runtime::iso_date(runtime::now_utc())};
      ids = tokenizer.encode(chat_template->render(messages, nullptr, options).text, false);
    } else {
      ids = tokenizer.encode(prompt, true);
    }
    for (const tokenizer::TokenId id : ids) {
      if (id >= model.decoder->spec().vocab_size) {
        throw runtime::UserError(runtime::say(model.path.string(), ": its tokenizer gives id ", id, ", the model has ",
                                              model.decoder->spec().vocab_size, "; they do not belong together"));
      }
    }
    if (ids.empty()) throw runtime::UserError("--prompt: expected text, found none");
    return {ids.begin(), ids.end()};
  }

  // Prompt and what follows it, as one text; for a chat the answer alone.
  std::string text_after(const std::string& prompt) const {
    const std::vector<std::int64_t> ids = ids_of(prompt);
    const std::vector<std::int64_t> answer = run::generate(*model.decoder, ids, sampling);
    std::vector<tokenizer::TokenId> all;
    if (!chat_template) all.assign(ids.begin(), ids.end());
    all.insert(all.end(), answer.begin(), answer.end());
    return tokenizer.decode(all, true);
  }
};

// One {"prompt": …} a line in, one {"prompt": …, "text": …} a line out.
void answer_file(const Generator& generator, const std::string& path) {
  std::istringstream lines(runtime::read_file(path, kMaxPromptFileBytes));
  std::string line;
  for (std::size_t row = 1; std::getline(lines, line); ++row) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    boost::system::error_code error;
    const boost::json::value value = boost::json::parse(line, error);
    const auto* object = error ? nullptr : value.if_object();
    const auto* prompt = object == nullptr ? nullptr : object->if_contains("prompt");
    if (prompt == nullptr || !prompt->is_string()) {
      throw runtime::UserError(
          runtime::say(path, ":", row, ": expected {\"prompt\": \"…\"}, found ", line.substr(0, 60)));
    }
    const std::string text(prompt->as_string());
    std::cout << boost::json::serialize(boost::json::object{{"prompt", text}, {"text", generator.text_after(text)}})
              << '\n';
  }
}

}  // namespace

int generate(Arguments arguments) {
  arguments.require_known({"prompt", "prompts", "max_new_tokens", "temperature", "top_p", "seed", "chat", "base_model",
                           "adapter", "dtype", "threads"});
  if (arguments.has("prompt") == arguments.has("prompts")) {
    throw runtime::UserError("generate: expected --prompt TEXT or --prompts FILE.jsonl");
  }
  at::set_num_threads(static_cast<int>(integer_of("threads", arguments.get("threads", "1"), 1, 1024)));
  run::SamplingOptions sampling;
  sampling.max_new_tokens = integer_of("max_new_tokens", arguments.get("max_new_tokens", "128"), 1, 1 << 20);
  sampling.temperature = number_of("temperature", arguments.get("temperature", "0"), 0, 100);
  sampling.top_p = number_of("top_p", arguments.get("top_p", "1"), 0, 1);
  sampling.seed = static_cast<std::uint64_t>(integer_of("seed", arguments.get("seed", "42"), 0, INT64_MAX));

  const run::TunedModel model =
      run::open_tuned_model(arguments.target("RUN or MODEL folder"), {.base_model = arguments.get("base_model"),
                                                                      .adapter = arguments.get("adapter"),
                                                                      .dtype = arguments.get("dtype", "auto")});
  const tokenizer::Tokenizer tokenizer = model.load_tokenizer();
  sampling.stop_ids = model.decoder->spec().eos_token_ids;
  if (const auto eos = tokenizer.eos_id()) sampling.stop_ids.push_back(*eos);
  Generator generator{model, tokenizer, sampling, std::nullopt};
  if (arguments.get("chat") == "true") {
    if (!tokenizer.chat_template()) throw runtime::UserError("--chat: the model folder has no chat template");
    generator.chat_template.emplace(*tokenizer.chat_template(), model.path.string() + ": chat template");
  }
  if (arguments.has("prompts")) {
    answer_file(generator, arguments.get("prompts"));
  } else {
    std::cout << generator.text_after(arguments.get("prompt")) << '\n';
  }
  return kDone;
}

}  // namespace cadre::launch
