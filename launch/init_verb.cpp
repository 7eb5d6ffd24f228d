// `cadre init`: a model folder to train from nothing: a configuration and a tokenizer of its own, no weights. Small
// models for tests and first tries come from here.
#include <boost/json/parse.hpp>
#include <filesystem>
#include <iostream>

#include "launch/exit_code.h"
#include "launch/verbs.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/json_print.h"
#include "trainer/model_folder/folder.h"
#include "trainer/tokenizer/bpe_trainer.h"
#include "trainer/tokenizer/tokenizer.h"

namespace cadre::launch {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 1 << 20;
constexpr std::uint64_t kMaxTextBytes = std::uint64_t{1} << 30;
constexpr const char* kEndOfText = "<|endoftext|>";

}  // namespace

int init(Arguments arguments) {
  arguments.require_known({"text", "vocab_size", "output"});
  const std::string& config_path = arguments.target("CONFIG.json of the new model");
  const std::filesystem::path output = arguments.get("output");
  if (output.empty() || !arguments.has("text")) {
    throw runtime::UserError("init: expected --text FILE (to make the tokenizer from) and --output DIR");
  }
  if (std::filesystem::exists(output) && !std::filesystem::is_empty(output)) {
    throw runtime::UserError("--output: " + output.string() + " is there and not empty; name another folder");
  }
  const std::int64_t vocab_size = integer_of("vocab_size", arguments.get("vocab_size", "1024"), 257, 1 << 20);
  boost::system::error_code error;
  boost::json::value config = boost::json::parse(runtime::read_file(config_path, kMaxConfigBytes), error);
  if (error || !config.is_object()) throw runtime::UserError(config_path + ": expected a JSON object");
  const std::string text = runtime::read_file(arguments.get("text"), kMaxTextBytes);
  const std::string tokenizer =
      tokenizer::train_byte_level_bpe(text, static_cast<std::size_t>(vocab_size), {kEndOfText});
  const tokenizer::Tokenizer made = tokenizer::Tokenizer::from_json(tokenizer, "the new tokenizer");
  const std::int64_t end_of_text = *made.token_to_id(kEndOfText);
  boost::json::object& keys = config.as_object();
  keys["vocab_size"] = made.vocab_size();
  keys["bos_token_id"] = end_of_text;
  keys["eos_token_id"] = end_of_text;
  const std::string config_text = runtime::json_pretty(config) + "\n";
  model_folder::parse_config(config_text, "", config_path);  // before anything is written

  std::filesystem::create_directories(output);
  runtime::write_file_atomically(output / "config.json", config_text);
  runtime::write_file_atomically(output / "tokenizer.json", tokenizer);
  runtime::write_file_atomically(output / "tokenizer_config.json", tokenizer::make_tokenizer_config(kEndOfText));
  std::cout << output.string() << ": " << made.vocab_size() << " tokens; train it with init_from_config: true\n";
  return kDone;
}

}  // namespace cadre::launch
