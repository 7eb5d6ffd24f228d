// tokenizer.json into a Pipeline; and vocab.json + merges.txt.
#include <algorithm>
#include <boost/json/monotonic_resource.hpp>
#include <unordered_map>
#include <utility>

#include "runtime/error.h"
#include "trainer/tokenizer/pipeline.h"
#include "trainer/tokenizer/read_components.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

using Merges = std::vector<std::pair<std::string_view, std::string_view>>;

TokenTable read_vocabulary(const JsonPlace& vocab) {
  vocab.expect_object();
  const auto& object = vocab.value().get_object();
  TokenTable tokens;
  std::size_t bytes = 0;
  TokenId highest = -1;
  for (const auto& member : object) {
    bytes += member.key().size();
    if (!member.value().is_int64() || member.value().get_int64() < 0 ||
        member.value().get_int64() >= static_cast<std::int64_t>(kIdLimit))
      vocab.member(std::string_view(member.key().data(), member.key().size())).as_unsigned(kIdLimit);
    highest = std::max(highest, static_cast<TokenId>(member.value().get_int64()));
  }
  tokens.reserve(object.size(), bytes);
  std::vector<bool> taken(static_cast<std::size_t>(highest + 1));
  for (const auto& member : object) {
    const std::string_view key(member.key().data(), member.key().size());
    const auto id = static_cast<TokenId>(member.value().get_int64());
    if (taken[static_cast<std::size_t>(id)])
      vocab.member(key).fail(runtime::say("another token has the id ", id, " too"));
    taken[static_cast<std::size_t>(id)] = true;
    tokens.add(key, id);
  }
  return tokens;
}

std::optional<std::pair<std::string_view, std::string_view>> split_merge(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) return std::nullopt;
  return std::pair{line.substr(0, space), line.substr(space + 1)};
}

std::unique_ptr<Bpe> read_model(const JsonPlace& model, const std::string& where) {
  model.expect_object();
  if (const std::string type = model.string_or("type", "BPE"); type != "BPE")
    model.fail("the model \"" + type + "\" is not supported; known is BPE");
  const JsonPlace dropout = model.member("dropout");
  if (!dropout.is_null() && !(dropout.value().is_number() && dropout.value().to_number<double>() == 0))
    dropout.fail("expected null: tokens that change by chance are not supported");
  BpeOptions options;
  if (model.has("unk_token")) options.unk_token = std::string(model.member("unk_token").as_string());
  options.continuing_subword_prefix = model.string_or("continuing_subword_prefix", "");
  options.end_of_word_suffix = model.string_or("end_of_word_suffix", "");
  options.fuse_unk = model.bool_or("fuse_unk", false);
  options.byte_fallback = model.bool_or("byte_fallback", false);
  options.ignore_merges = model.bool_or("ignore_merges", false);
  TokenTable tokens = read_vocabulary(model.member("vocab"));
  const JsonPlace list = model.member("merges");
  Merges merges;
  merges.reserve(list.array_size());
  for (const auto& merge : list.value().get_array()) {
    const auto index = static_cast<std::size_t>(&merge - list.value().get_array().data());
    if (merge.is_string()) {
      const std::string_view line(merge.get_string().data(), merge.get_string().size());
      if (line.starts_with("#version")) continue;
      const auto pair = split_merge(line);
      if (!pair)
        list.element(index).fail("expected two tokens with one space between, found \"" + std::string(line) + "\"");
      merges.push_back(*pair);
    } else {
      const JsonPlace pair = list.element(index);
      if (pair.array_size() != 2) pair.fail("expected two tokens");
      merges.emplace_back(pair.element(0).as_string(), pair.element(1).as_string());
    }
  }
  return std::make_unique<Bpe>(std::move(tokens), merges, std::move(options), where);
}

// Gives each token its id as `tokenizers` does: the model's where it has the token, else the next after the vocabulary.
void add_tokens(const JsonPlace& list, Pipeline& pipeline) {
  if (list.is_null()) return;
  std::unordered_map<std::string_view, AddedToken*> by_content;
  std::vector<std::unique_ptr<AddedToken>> tokens;
  auto next_id = static_cast<TokenId>(pipeline.model->tokens().size());
  for (std::size_t i = 0; i < list.array_size(); ++i) {
    const JsonPlace place = list.element(i);
    AddedToken token;
    token.id = read_id(place.member("id"));
    token.content = place.member("content").as_string();
    token.single_word = place.bool_or("single_word", false);
    token.lstrip = place.bool_or("lstrip", false);
    token.rstrip = place.bool_or("rstrip", false);
    token.special = place.bool_or("special", false);
    token.normalized = place.bool_or("normalized", !token.special);
    if (token.content.empty()) continue;
    const auto before = by_content.find(token.content);
    const TokenId in_model = pipeline.model->tokens().find(token.content);
    const TokenId id = before != by_content.end() ? before->second->id : in_model >= 0 ? in_model : next_id++;
    if (id != token.id)
      place.fail(runtime::say("\"", token.content, "\" has the id ", token.id, ", but ",
                              in_model >= 0 ? "model.vocab has it at " : "its place after the vocabulary is ", id,
                              "; make the two agree"));
    if (before != by_content.end()) {
      token.special = token.special || before->second->special;
      *before->second = std::move(token);
      continue;
    }
    tokens.push_back(std::make_unique<AddedToken>(std::move(token)));
    by_content.emplace(tokens.back()->content, tokens.back().get());
  }
  for (auto& token : tokens) {
    std::string pattern = token->content;
    if (token->normalized && !pipeline.normalizers.empty()) {
      MappedText text = MappedText::identity(pattern, 0, false);
      run_all(pipeline.normalizers, text);
      pattern = text.text();
    }
    if (!(token->normalized ? pipeline.normalized_tokens : pipeline.raw_tokens).add(pattern, token.get()))
      list.fail("\"" + token->content + "\" cannot be told from another token once it is normalized");
    pipeline.added_tokens.push_back(std::move(token));
  }
}

}  // namespace

Pipeline load_tokenizer_json(std::string_view json, const std::string& where) {
  boost::json::monotonic_resource memory;
  const boost::json::value parsed = parse_tokenizer_json(json, where, &memory);
  const JsonPlace root(parsed, "", where);
  root.expect_object();
  if (const std::string version = root.string_or("version", "1.0"); version != "1.0")
    root.member("version").fail("expected \"1.0\", found \"" + version + "\"");
  if (!root.has("model")) root.fail("expected an object with \"model\"; is this a tokenizer.json?");
  Pipeline pipeline;
  pipeline.normalizers = read_normalizers(root.member("normalizer"));
  pipeline.model = read_model(root.member("model"), where);
  read_pre_tokenizers(root.member("pre_tokenizer"), pipeline);
  pipeline.post_processor = read_post_processor(root.member("post_processor"));
  pipeline.decoders = read_decoders(root.member("decoder"));
  add_tokens(root.member("added_tokens"), pipeline);
  return pipeline;
}

Pipeline load_gpt2_files(std::string_view vocab_json, const std::string& where, std::string_view merges,
                         const std::string& merges_where) {
  boost::json::monotonic_resource memory;
  const boost::json::value parsed = parse_tokenizer_json(vocab_json, where, &memory);
  TokenTable tokens = read_vocabulary(JsonPlace(parsed, "", where));
  if (first_invalid_byte(merges) != std::string_view::npos)
    throw runtime::UserError(merges_where + ": expected UTF-8, found another byte");
  Merges pairs;
  for (std::size_t line_number = 1; !merges.empty(); ++line_number) {
    const std::size_t end = merges.find('\n');
    std::string_view line = merges.substr(0, end);
    merges.remove_prefix(end == std::string_view::npos ? merges.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("#version")) continue;
    const auto pair = split_merge(line);
    if (!pair)
      throw runtime::UserError(runtime::say(merges_where, ":", line_number,
                                            ": expected two tokens with one space between, "
                                            "found \"",
                                            line.substr(0, 100), "\""));
    pairs.push_back(*pair);
  }
  Pipeline pipeline;
  pipeline.model = std::make_unique<Bpe>(std::move(tokens), pairs, BpeOptions{}, merges_where);
  add_byte_level(pipeline.pre_tokenizers, false, true);
  if (!pipeline.model->use_raw_bytes()) pipeline.pre_tokenizers.push_back(make_byte_level_alphabet());
  pipeline.decoders.emplace();
  pipeline.decoders->push_back(make_byte_level_decoder());
  AddedToken end{.content = "<|endoftext|>", .special = true};
  end.id = pipeline.model->tokens().find(end.content);
  if (end.id >= 0) {
    pipeline.added_tokens.push_back(std::make_unique<const AddedToken>(std::move(end)));
    pipeline.raw_tokens.add(pipeline.added_tokens.back()->content, pipeline.added_tokens.back().get());
  }
  return pipeline;
}

}  // namespace cadre::tokenizer
