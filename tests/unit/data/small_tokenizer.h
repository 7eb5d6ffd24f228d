// A tokenizer folder for tests: byte-level BPE whose vocabulary is the 256 bytes, a few merges and special tokens, so
// that what a row became can be read as text.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "trainer/data/dataset.h"
#include "trainer/tokenizer/tokenizer.h"

namespace cadre::data {

struct SmallTokenizer {
  bool adds_bos = true, adds_eos = false, has_eos = true;
  std::string chat_template = {};

  // The character that byte-level vocabularies write for a byte.
  static std::string symbol(int byte) {
    const auto printable = [](int b) {
      return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
    };
    int code = byte;
    if (!printable(byte)) {
      code = 256;
      for (int b = 0; b < byte; ++b) code += printable(b) ? 0 : 1;
    }
    if (code < 128) return {static_cast<char>(code)};
    return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
  }

  void write(const std::filesystem::path& folder) const {
    using boost::json::array;
    using boost::json::object;
    const std::vector<std::string> special = {"<s>", "</s>", "<|im_start|>", "<|im_end|>"};
    object vocab;
    array added;
    int id = 0;
    for (const auto& token : special) {
      added.push_back(object{{"id", id},
                             {"content", token},
                             {"single_word", false},
                             {"lstrip", false},
                             {"rstrip", false},
                             {"normalized", false},
                             {"special", true}});
      vocab[token] = id++;
    }
    for (int byte = 0; byte < 256; ++byte) vocab[symbol(byte)] = id++;
    vocab[symbol(' ') + "c"] = id++;
    const object tokens = {{"<s>", {{"id", "<s>"}, {"ids", {0}}, {"tokens", {"<s>"}}}},
                           {"</s>", {{"id", "</s>"}, {"ids", {1}}, {"tokens", {"</s>"}}}}};
    const auto one = [](const char* token) { return object{{"SpecialToken", {{"id", token}, {"type_id", 0}}}}; };
    array single;
    if (adds_bos) single.push_back(one("<s>"));
    single.push_back(object{{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
    if (adds_eos) single.push_back(one("</s>"));
    const array pair = {object{{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
                        object{{"Sequence", {{"id", "B"}, {"type_id", 1}}}}};
    const object byte_level = {
        {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
    array merge;
    merge.push_back(array{boost::json::string(symbol(' ')), "c"});
    const object model = {{"type", "BPE"},
                          {"dropout", nullptr},
                          {"unk_token", nullptr},
                          {"continuing_subword_prefix", nullptr},
                          {"end_of_word_suffix", nullptr},
                          {"fuse_unk", false},
                          {"byte_fallback", false},
                          {"ignore_merges", false},
                          {"vocab", vocab},
                          {"merges", merge}};
    object whole = {
        {"version", "1.0"},
        {"truncation", nullptr},
        {"padding", nullptr},
        {"added_tokens", added},
        {"normalizer", nullptr},
        {"pre_tokenizer", byte_level},
        {"post_processor",
         object{{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}}},
        {"decoder", byte_level},
        {"model", model}};
    object config = {{"bos_token", "<s>"}};
    if (has_eos) config["eos_token"] = "</s>";
    if (!chat_template.empty()) config["chat_template"] = chat_template;
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "tokenizer.json") << boost::json::serialize(whole);
    std::ofstream(folder / "tokenizer_config.json") << boost::json::serialize(config);
  }
};

// A row with its trained tokens in brackets: "<s>ask[ answer</s>]".
inline std::string show(const tokenizer::Tokenizer& tokenizer, const Dataset& dataset, std::size_t row) {
  std::string out;
  bool trained = false;
  std::vector<std::int32_t> run;
  const auto flush = [&] {
    out += tokenizer.decode(run, false);
    run.clear();
  };
  for (std::size_t i = 0; i < dataset.length(row); ++i) {
    const bool now = dataset.labels_of(row)[i] != kIgnored;
    if (now != trained) {
      flush();
      out += now ? "[" : "]";
      trained = now;
    }
    run.push_back(dataset.ids_of(row)[i]);
  }
  flush();
  return out + (trained ? "]" : "");
}

}  // namespace cadre::data
